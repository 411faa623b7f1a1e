"""How a log closes: the line of averages that the tool prints last, or LiteRT's block of results."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from vitbench.benchmark_model.lines import Lines

_NUMBER = r"\d+(?:\.\d*)?(?:e[+-]?\d+)?"
_TIMINGS = re.compile(r"\b(?P<average>average )?inference timings in us:\s*(?P<pairs>.*)$", re.IGNORECASE)
_PAIR = re.compile(rf"(?P<name>[a-z][a-z ()]*?)\s*:\s*(?P<value>{_NUMBER})(?![\d.e])", re.IGNORECASE)
_INFERENCE = ("inference (avg)", "inference", "no stats")
_WARMUP = ("warmup (avg)", "warmup")

_BLOCK = re.compile(
    rf"\b(?P<name>warmup|inference) \(avg\):\s*(?P<ms>{_NUMBER}) ms \((?P<count>\d{{1,9}}) runs\)", re.I
)
_SESSION = re.compile(rf"\binitialized session in (?P<ms>{_NUMBER}) ?ms\b", re.IGNORECASE)
_BLOCK_INIT = re.compile(rf"\bmodel initialization:\s*(?P<ms>{_NUMBER}) ms\b", re.IGNORECASE)


@dataclass(frozen=True)
class Summary:
    """The closing line. Times in microseconds, LiteRT's with a resolution of 10.

    `whole` is False where the text ends within it or right behind it, without a line break.
    """

    form: Literal["average", "timings", "litert"]
    inference_us: float
    warmup_us: float | None = None
    first_us: float | None = None
    init_us: float | None = None
    count: int | None = None
    warmup_count: int | None = None
    whole: bool = True


def find(lines: Lines) -> list[Summary]:
    """Every closing line of a text, in order."""
    found = [closing for closing in (_timings(line, whole=True) for line in lines.whole) if closing]
    if (last := _timings(lines.rest, whole=False)) is not None:
        found.append(last)
    return found + _blocks(lines.all)


def init_us(lines: Lines, closing: Summary | None) -> float | None:
    """How long the interpreter took to make: from the closing line, else from the line about the session."""
    if closing is not None and closing.init_us is not None:
        return closing.init_us
    for pattern in (_SESSION, _BLOCK_INIT):
        for line in lines.whole:
            if match := pattern.search(line):
                return round(float(match["ms"]) * 1000, 3)
    return None


def _timings(line: str, *, whole: bool) -> Summary | None:
    match = _TIMINGS.search(line)
    if match is None:
        return None
    pairs = [(pair["name"].strip().lower(), float(pair["value"])) for pair in _PAIR.finditer(match["pairs"])]
    told = dict(pairs)
    inference = _pick(told, _INFERENCE)
    if inference is None:
        return None
    if not whole and pairs[-1][0] == "init":
        # Its last figure may be cut; any other is compared with the count lines.
        del told["init"]
    return Summary(
        form="average" if match["average"] else "timings",
        inference_us=inference,
        warmup_us=_pick(told, _WARMUP),
        first_us=told.get("first inference"),
        init_us=told.get("init"),
        whole=whole,
    )


def _blocks(lines: Iterable[str]) -> list[Summary]:
    found: list[Summary] = []
    warmup: re.Match[str] | None = None
    for match in filter(None, map(_BLOCK.search, lines)):
        if match["name"].lower() == "warmup":
            warmup = match
            continue
        found.append(
            Summary(
                form="litert",
                inference_us=float(match["ms"]) * 1000,
                count=int(match["count"]),
                warmup_us=float(warmup["ms"]) * 1000 if warmup else None,
                warmup_count=int(warmup["count"]) if warmup else None,
            )
        )
        warmup = None
    return found


def _pick(told: dict[str, float], names: Iterable[str]) -> float | None:
    return next((told[name] for name in names if name in told), None)
