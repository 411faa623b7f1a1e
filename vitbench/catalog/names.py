"""The grammar of model names: `family-variant[-task][+kind][@form][:HxW]`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vitbench.errors import UsageError

_NAME = re.compile(
    r"(?P<family>[a-z][a-z0-9]*)-(?P<variant>[a-z0-9][a-z0-9.-]*)"
    r"(?:\+(?P<attention>[a-z][a-z0-9-]*))?(?:@(?P<form>[a-z]+))?(?::(?P<resolution>[^:]*))?"
)
# ASCII digits: `int` alone would take those of every script, signs and underscores too.
_RESOLUTION = re.compile(r"(?P<height>-?[0-9]{1,18})(?: *x *(?P<width>-?[0-9]{1,18}))?")
_GRAMMAR = "names read family-variant[-task][+kind][@form][:HxW], for example effvit-b2+softmax:512x512"


@dataclass(frozen=True)
class ModelName:
    """The parts of a model name; None where the name is silent."""

    family: str
    variant: str
    attention: str | None = None
    form: str | None = None
    resolution: tuple[int, int] | None = None


def parse_model_name(text: str) -> ModelName:
    """Split a model name into its parts.

    Raises:
        UsageError: the text does not follow the grammar.
    """
    match = _NAME.fullmatch(text.strip().lower())
    if match is None:
        raise UsageError(f"'{text}' is not a model name", _GRAMMAR)
    size = match["resolution"]
    return ModelName(
        match["family"],
        match["variant"],
        match["attention"],
        match["form"],
        parse_resolution(size) if size is not None else None,
    )


def parse_resolution(text: str) -> tuple[int, int]:
    """Read `224` (square) or `512x1024` (HEIGHTxWIDTH) as (height, width) in pixels.

    Raises:
        UsageError: not one or two positive integers.
    """
    match = _RESOLUTION.fullmatch(text.strip().lower())
    if match is None:
        raise UsageError(f"'{text}' is not a resolution", "write HEIGHTxWIDTH in pixels: 224 or 512x1024")
    height = int(match["height"])
    width = int(match["width"] or height)
    if min(height, width) <= 0:
        raise UsageError(
            f"resolution '{text}' is not positive", "write HEIGHTxWIDTH in pixels: 224 or 512x1024"
        )
    return height, width


def format_resolution(resolution: tuple[int, int]) -> str:
    """Write (height, width) as `HxW`."""
    return f"{resolution[0]}x{resolution[1]}"
