"""ONNX Runtime's own profile: the time of every layer in the last iterations of a session."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List

from ..errors import AgentError

LAYER = "_kernel_time"
ITERATION = "model_run"
# The profiler drops every event after that many, without a word in the file.
MAX_EVENTS = 1000000
NS_PER_US = 1000


def read(path: Path, n: int) -> List[Dict[str, Any]]:
    """Read a profile and delete its file.

    Args:
        path: what `end_profiling` wrote: Chrome's trace events, times in whole microseconds.
        n: iterations to add up, the last ones.

    Returns:
        One mapping per layer, in the order they run: `name` and `op_type` as the runtime tells them after its
        optimisations, `total_ns` over the n iterations, `calls`.

    Raises:
        AgentError: the file cannot be read, or does not hold n whole iterations.
    """
    try:
        with path.open(encoding="utf-8") as file:
            events = json.load(file)
    except (OSError, ValueError) as error:
        raise AgentError("runtime", f"cannot read the profile {path}: {error}") from None
    finally:
        path.unlink()
    if len(events) >= MAX_EVENTS:
        raise AgentError("runtime", f"the profile is full: it holds {MAX_EVENTS} events at most")
    return add_up(events, n)


def add_up(events: List[Dict[str, Any]], n: int) -> List[Dict[str, Any]]:
    """Add up the layers of the last n iterations; see `read`."""
    begins = sorted(event["ts"] for event in events if event.get("name") == ITERATION)
    if len(begins) < n:
        raise AgentError("runtime", f"the profile holds {len(begins)} iterations of {n}")
    layers: Dict[str, Dict[str, Any]] = {}
    for event in _outermost(events, begins[-n]):
        name = event["name"][: -len(LAYER)]
        empty = {"name": name, "op_type": event["args"]["op_name"], "total_ns": 0, "calls": 0}
        layer = layers.setdefault(name, empty)
        layer["total_ns"] += event["dur"] * NS_PER_US
        layer["calls"] += 1
    return list(layers.values())


def _outermost(events: List[Dict[str, Any]], begin: int) -> List[Dict[str, Any]]:
    """The events of layers from an instant on, without those that ran inside of another (a loop's)."""
    found = [
        event
        for event in events
        if event.get("cat") == "Node" and event["name"].endswith(LAYER) and event["ts"] >= begin
    ]
    kept = []
    end = begin
    for event in sorted(found, key=lambda event: (event["ts"], -event["dur"])):
        if event["ts"] >= end:
            kept.append(event)
            end = event["ts"] + event["dur"]
    return kept
