"""The grammar of model names: `family[-variant[-task]][+kind][@form][:HxW]`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeVar

from vitbench.errors import UsageError

T = TypeVar("T")

# The variant of a family of one network: its name is the family's.
DEFAULT = "default"

_NAME = re.compile(
    r"(?P<family>[a-z][a-z0-9]*)(?:-(?P<variant>[a-z0-9][a-z0-9.-]*))?"
    r"(?P<kinds>(?:\+[a-z][a-z0-9-]*)*)(?:@(?P<form>[a-z]+))?(?::(?P<resolution>[^:]*))?"
)
# ASCII digits: `int` alone would take those of every script, signs and underscores too.
_RESOLUTION = re.compile(r"(?P<height>-?[0-9]{1,18})(?: *x *(?P<width>-?[0-9]{1,18}))?")
_GRAMMAR = (
    "names read family-variant[-task][+kind][@form][:HxW], for example effvit-b2+softmax:512x512; "
    "networks from elsewhere timm:NAME, onnx:FILE.onnx, py:FILE.py:function"
)


@dataclass(frozen=True)
class ModelName:
    """The parts of a model name; None where the name is silent. `kinds` are as they stand in it."""

    family: str
    variant: str = DEFAULT
    kinds: tuple[str, ...] = ()
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
        match["variant"] or DEFAULT,
        tuple(match["kinds"].split("+")[1:]),
        match["form"],
        parse_resolution(size) if size is not None else None,
    )


def base_name(family: str, variant: str) -> str:
    """Name of a network without kinds and forms: `effvit-b2`, `restormer`."""
    return family if variant == DEFAULT else f"{family}-{variant}"


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


def looks_like_resolution(text: str) -> bool:
    """Whether a text has the form of a resolution."""
    return _RESOLUTION.fullmatch(text.strip().lower()) is not None


def format_resolution(resolution: tuple[int, int]) -> str:
    """Write (height, width) as `HxW`."""
    return f"{resolution[0]}x{resolution[1]}"


def agree(option: str, name: str, suffix: T | None, value: T | None) -> T | None:
    """What a name's suffix and an option say together; None when both are silent.

    Raises:
        UsageError: they contradict each other.
    """
    if suffix is not None and value is not None and suffix != value:
        raise UsageError(f"{option} contradicts the name '{name}'", f"drop {option} or the name's suffix")
    return suffix if value is None else value
