"""`gate.toml`: limits of single cells, and waivers that end."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from vitbench.catalog.names import format_resolution, looks_like_resolution, parse_resolution
from vitbench.errors import UsageError
from vitbench.stats.gate import DEFAULT_PAIRS

DEFAULT_FILE = Path("gate.toml")
# Clocks locked or a processor that holds them; a phone, whose clocks are free.
DEFAULT_LIMIT = 0.03
FREE_LIMIT = 0.05
FREE_TRANSPORTS = ("adb",)
DEFAULT_MEMORY = 0.10
# What a fraction can be without a sign of percent: 0.5 is more likely half a per cent than a half.
LARGEST_BARE = 0.2
# Under this the signed-rank test cannot reach its level, whatever the pairs say.
MIN_PAIRS = 7
MAX_PAIRS = 500

GateName = Literal["time", "params", "macs", "bytes", "fallback", "partitions", "parity", "memory"]


def _share(value: Any) -> Any:
    """`"3%"` as 0.03; numbers are fractions already, and large ones are percentages without their sign."""
    if isinstance(value, str):
        try:
            if value.endswith("%"):
                return float(value.removesuffix("%")) / 100
            value = float(value)
        except ValueError:
            raise ValueError(f"'{value}' is no share: write 3% or 0.03") from None
    if isinstance(value, int | float) and value > LARGEST_BARE:
        other = f' or "{100 * value:g}%"' if value < 1 else ""
        raise ValueError(f'{value:g} would be {value:.0%}: write "{value:g}%"{other}')
    return value


def parse_share(text: str, option: str) -> float:
    """Read `3%` or `0.03` as a fraction.

    Raises:
        UsageError: it is neither, or not above 0 % and below 100 %.
    """
    try:
        share = float(_share(text))
    except ValueError as error:
        raise UsageError(f"{option}: {error}", "for example 3%") from None
    if not 0 < share < 1:
        raise UsageError(f"{option} must be above 0 % and below 100 %, not {text}", "for example 3%")
    return share


Share = Annotated[float, BeforeValidator(_share), Field(gt=0, lt=1, allow_inf_nan=False)]
Pairs = Annotated[int, Field(ge=MIN_PAIRS, le=MAX_PAIRS)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Matching(_Table):
    """A table that is about the cells of a pattern.

    `match` is a model, `*` for anything, with or without a resolution: `effvit-b*:512x1024`. `target`
    likewise; every target when None.
    """

    match: Annotated[str, Field(min_length=1)]
    target: str | None = None

    @property
    def told(self) -> str:
        """The pattern as it is written."""
        target = "" if self.target is None else f', target = "{self.target}"'
        return f'match = "{self.match}"{target}'

    def covers(self, model: str, resolution: tuple[int, int], target: str) -> bool:
        """Whether a cell is meant."""
        return matches(self.match, model, resolution) and fnmatchcase(target, self.target or "*")


class CellTable(_Matching):
    """Limits of the cells of a pattern; None leaves those of the gate."""

    max_regression: Share | None = None
    max_memory_growth: Share | None = None
    pairs: Pairs | None = None


class Waiver(_Matching):
    """Regressions that are known and do not count until they expire (that day included)."""

    gates: Annotated[tuple[GateName, ...], Field(min_length=1)] = ("time",)
    reason: Annotated[str, Field(min_length=1)]
    expires: date


class GateTable(_Table):
    """What holds for every cell."""

    baseline: str | None = None
    max_regression: Share | None = None
    max_memory_growth: Share = DEFAULT_MEMORY
    pairs: Pairs | None = None


class Config(_Table):
    """A whole `gate.toml`."""

    gate: GateTable = GateTable()
    cells: tuple[CellTable, ...] = ()
    waivers: tuple[Waiver, ...] = ()


@dataclass(frozen=True)
class Limits:
    """What one cell is held to: growth of time and memory as fractions, and pairs of the first stage."""

    regression: float
    memory: float
    pairs: int


def read_config(path: Path | None) -> Config:
    """Read a configuration; `gate.toml` of the working directory, if there is one, when None.

    Raises:
        UsageError: it cannot be read, or a field is wrong; the message names it.
    """
    if path is None and not DEFAULT_FILE.exists():
        return Config()
    path = path or DEFAULT_FILE
    try:
        return Config.model_validate(tomllib.loads(path.read_text("utf-8")))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}", "check --config") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no TOML: {error}", "mend that line") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(key) for key in first["loc"])
        known = ", ".join(_known(first["loc"]))
        told = "mend that field"
        if first["type"] == "extra_forbidden" and known:
            told = f"it knows {known}"
        elif first["type"] == "tuple_type":
            told = f"write [[{where}]]" if first["loc"] == (where,) else 'it is a list: ["params", "time"]'
        what = first["msg"].removeprefix("Value error, ").lower()
        raise UsageError(f"{path}: `{where}`: {what}", told) from None


def limits_of(config: Config, model: str, resolution: tuple[int, int], target: str, transport: str) -> Limits:
    """What a cell is held to: what the last table that covers it says, else the gate's, else the default."""
    default = FREE_LIMIT if transport in FREE_TRANSPORTS else DEFAULT_LIMIT
    regression, memory, pairs = (
        config.gate.max_regression or default,
        config.gate.max_memory_growth,
        config.gate.pairs or DEFAULT_PAIRS,
    )
    for table in config.cells:
        if table.covers(model, resolution, target):
            regression = table.max_regression or regression
            memory = table.max_memory_growth or memory
            pairs = table.pairs or pairs
    return Limits(regression, memory, pairs)


def waivers_of(config: Config, model: str, resolution: tuple[int, int], target: str) -> tuple[Waiver, ...]:
    """The waivers that cover a cell, expired ones among them."""
    return tuple(waiver for waiver in config.waivers if waiver.covers(model, resolution, target))


def unmatched(config: Config, cells: Sequence[tuple[str, tuple[int, int], str]]) -> list[str]:
    """Notes on tables that cover none of the cells (model, resolution, target): likely misspelt."""
    tables: list[tuple[str, _Matching]] = [("cells", each) for each in config.cells]
    tables += [("waivers", each) for each in config.waivers]
    return [
        f"[[{kind}]] {table.told} covers no cell of this gate: look for a misspelling"
        for kind, table in tables
        if not any(table.covers(*cell) for cell in cells)
    ]


def unselected(
    models: Sequence[str], targets: Sequence[str], cells: Sequence[tuple[str, tuple[int, int], str]]
) -> str:
    """Patterns that mean none of the selected cells (model, resolution, target), as options; likely misspelt.

    A gate that left such a cell out in silence would end as if it had passed.
    """
    useless = [
        *(
            f"-m {pattern}"
            for pattern in models
            if not any(matches(pattern, model, size) for model, size, _ in cells)
        ),
        *(
            f"-t {pattern}"
            for pattern in targets
            if not any(fnmatchcase(name, pattern) for *_, name in cells)
        ),
    ]
    return ", ".join(useless)


def matches(pattern: str, model: str, resolution: tuple[int, int]) -> bool:
    """Whether a model at a resolution is meant by a pattern: `effvit-b*`, `effvit-b1:224`."""
    if fnmatchcase(model, pattern):
        return True
    name, _, size = pattern.rpartition(":")  # names of networks from elsewhere have colons themselves
    if not looks_like_resolution(size):
        return fnmatchcase(f"{model}:{format_resolution(resolution)}", pattern)
    return fnmatchcase(model, name) and parse_resolution(size) == tuple(resolution)


def _known(location: tuple[int | str, ...]) -> list[str]:
    """The fields of the table that an unknown one was found in."""
    tables: dict[str, type[_Table]] = {"gate": GateTable, "cells": CellTable, "waivers": Waiver}
    table = tables.get(str(location[0]), Config) if len(location) > 1 else Config
    return list(table.model_fields)
