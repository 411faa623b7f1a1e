"""The time of each layer of an engine, and what its inspector says of them."""

from __future__ import annotations

import json
from typing import Any, Dict, List

NS_PER_MS = 1e6
UNKNOWN = "layer"


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


def add_up(profiler: Any, types: Dict[str, str]) -> List[Dict[str, Any]]:
    """What the profiler was told, as `profile` answers it."""
    return [
        {
            "name": name,
            "op_type": types.get(name, UNKNOWN),
            "total_ns": round(total_ms * NS_PER_MS),
            "calls": profiler.calls[name],
        }
        for name, total_ms in profiler.total_ms.items()
    ]


def inspect(trt: Any, engine: Any) -> List[Dict[str, Any]]:
    """What an engine's inspector tells of each layer; nothing of one that was built without details."""
    told = engine.create_engine_inspector().get_engine_information(trt.LayerInformationFormat.JSON)
    try:
        layers = json.loads(told)["Layers"]
    except (ValueError, KeyError, TypeError):
        return []
    return [layer for layer in layers if isinstance(layer, dict) and "Name" in layer]


def types_of(layers: List[Dict[str, Any]]) -> Dict[str, str]:
    """The type of each layer by its name, as the inspector tells them."""
    return {str(layer["Name"]): str(layer.get("LayerType", UNKNOWN)) for layer in layers}
