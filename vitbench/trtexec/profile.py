"""The file of `--exportProfile`: the time of each layer of an engine."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from vitbench.trtexec.refusals import NoResult, Reason

NS_PER_MS = 1e6


@dataclass(frozen=True)
class LayerProfile:
    """One layer over all iterations. `median_ns` is None where the version does not tell (before 8.4)."""

    name: str
    total_ns: int
    average_ns: int
    median_ns: int | None


@dataclass(frozen=True)
class EngineProfile:
    """Layers in the order they run, each timed in so many iterations."""

    iterations: int
    layers: tuple[LayerProfile, ...]


def read_profile(text: str) -> EngineProfile:
    """Read the file. Its shares in per cent are left out: they follow from the times.

    Raises:
        NoResult: it is no such file, or holds times that cannot be.
    """
    try:
        items = json.loads(text)
    except ValueError as error:
        raise _malformed(f"it is no JSON: {error}") from None
    if not isinstance(items, list) or not items or not isinstance(items[0], dict):
        raise _malformed("it is no list of layers")
    count = items[0].get("count")
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise _malformed("it does not begin with the number of iterations")
    if len(items) == 1:
        raise _malformed("it has no layer")
    return EngineProfile(count, tuple(_layer(item) for item in items[1:]))


def _layer(item: Any) -> LayerProfile:
    if not isinstance(item, dict) or not isinstance(item.get("name"), str):
        raise _malformed("a layer has no name")
    name = item["name"]
    total, average = (_ns(item.get(field), name) for field in ("timeMs", "averageMs"))
    if total is None or average is None:
        raise _malformed(f"the layer {name} has no time")
    return LayerProfile(name, total, average, _ns(item.get("medianMs"), name))


def _ns(value: Any, name: str) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise _malformed(f"the layer {name} has a time that is none")
    return round(value * NS_PER_MS)


def _malformed(what: str) -> NoResult:
    message = f"trtexec's file of layer times cannot be read: {what}"
    return NoResult(Reason.MALFORMED, message, "run trtexec again")
