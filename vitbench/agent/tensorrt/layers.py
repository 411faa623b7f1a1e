"""The time of each layer of an engine, and what its inspector says of them."""

from __future__ import annotations

import json
import re
from typing import Any, Dict, List

NS_PER_MS = 1e6
UNKNOWN = "layer"
REFORMATTING = "Reformatting CopyNode"
_METADATA = re.compile(r"\[ONNX Layer: ([^\]]+)\]")
_FUSED = re.compile(r"PWN\(|[(),]| \+ ")


def make_profiler(trt: Any) -> Any:
    """What TensorRT reports the times of layers to; `total_ns` and `calls` by name, in the order they ran."""

    class Profiler(trt.IProfiler):  # type: ignore[misc]
        """Adds up what it is told."""

        def __init__(self) -> None:
            trt.IProfiler.__init__(self)
            self.total_ms: Dict[str, float] = {}
            self.calls: Dict[str, int] = {}

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            """Take one time."""
            self.total_ms[layer_name] = self.total_ms.get(layer_name, 0.0) + ms
            self.calls[layer_name] = self.calls.get(layer_name, 0) + 1

    return Profiler()


def add_up(profiler: Any, described: List[Dict[str, Any]]) -> List[Dict[str, Any]]:
    """What the profiler was told, as `profile` answers it.

    Args:
        profiler: of `make_profiler`.
        described: of `inspect`; the type of a layer that is not among them is unknown.
    """
    by_name = {str(layer["Name"]): layer for layer in described}
    return [
        {
            "name": name,
            "op_type": str(by_name.get(name, {}).get("LayerType", UNKNOWN)),
            "total_ns": round(total_ms * NS_PER_MS),
            "calls": profiler.calls[name],
            "nodes": nodes_of(name, by_name.get(name, {})),
        }
        for name, total_ms in profiler.total_ms.items()
    ]


def nodes_of(name: str, described: Dict[str, Any]) -> List[str]:
    """Names of the nodes of the graph that a layer was made of, as far as anybody can tell.

    From 8.6 on the inspector tells them; before, a layer that was fused is called after them: `a + b`,
    `PWN(a, b)`. A change of layout is called after the node that it serves, and is none of it.
    """
    told = _METADATA.findall(str(described.get("Metadata", "")))
    if told:
        return list(dict.fromkeys(told))
    if name.startswith(REFORMATTING):
        return []
    return [part.strip() for part in _FUSED.split(name) if part.strip()]


def inspect(trt: Any, engine: Any) -> List[Dict[str, Any]]:
    """What an engine's inspector tells of each layer; nothing of one that was built without details."""
    told = engine.create_engine_inspector().get_engine_information(trt.LayerInformationFormat.JSON)
    try:
        layers = json.loads(told)["Layers"]
        return [layer for layer in layers if isinstance(layer, dict) and "Name" in layer]
    except (ValueError, KeyError, TypeError):
        return []
