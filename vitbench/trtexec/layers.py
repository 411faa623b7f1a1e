"""The file of `--exportLayerInfo`: the layers that an engine really has, and the types they compute in."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vitbench.trtexec.refusals import NoResult, Reason

# What versions write for a type: `Row major linear FP16 format` (8.x and 10.x), `Half` (10.x), `FP16` (11);
# bindings call it `kHALF`.
_TYPES = (
    (re.compile(r"\bk?(?:fp16|half|float16)\b", re.IGNORECASE), "fp16"),
    (re.compile(r"\bk?(?:bf16|bfloat16)\b", re.IGNORECASE), "bf16"),
    (re.compile(r"\bk?(?:fp32|float32|float)\b", re.IGNORECASE), "fp32"),
    (re.compile(r"\b(?:int8|fp8|int32|int64|bool|uint8|int4|fp4)\b", re.IGNORECASE), None),
)


@dataclass(frozen=True)
class EngineTensor:
    """A tensor of an engine. `dtype` is `fp16`, `fp32`, ... or None where the file does not tell it."""

    name: str
    dtype: str | None
    shape: tuple[int, ...] | None


@dataclass(frozen=True)
class EngineLayer:
    """A layer of an engine. Without detailed verbosity only its name is known, and `type` is None."""

    name: str
    type: str | None
    inputs: tuple[EngineTensor, ...] = ()
    outputs: tuple[EngineTensor, ...] = ()


@dataclass(frozen=True)
class EngineLayers:
    """Layers in the order they run, and the names of the engine's own inputs and outputs."""

    layers: tuple[EngineLayer, ...]
    bindings: tuple[str, ...]

    @property
    def output_types(self) -> dict[str, int]:
        """How many layers there are by the type of their first output; unknown types are left out."""
        firsts = (layer.outputs[0].dtype for layer in self.layers if layer.outputs)
        return dict(Counter(dtype for dtype in firsts if dtype is not None))


def read_layers(text: str) -> EngineLayers:
    """Read the file, of any version: layers as bare names or as objects, `Bindings` or `I/O Tensors`.

    Raises:
        NoResult: it is no such file.
    """
    try:
        told = json.loads(text)
    except ValueError as error:
        raise _malformed(f"it is no JSON: {error}") from None
    layers = told.get("Layers") if isinstance(told, dict) else None
    if not isinstance(layers, list):
        raise _malformed("it has no list `Layers`")
    bindings = told.get("I/O Tensors", told.get("Bindings", []))
    return EngineLayers(
        tuple(map(_layer, layers)), tuple(map(_name, bindings if isinstance(bindings, list) else []))
    )


def _layer(item: Any) -> EngineLayer:
    if isinstance(item, str):
        return EngineLayer(item, None)
    kind = item.get("LayerType") if isinstance(item, dict) else None
    name = _name(item)
    return EngineLayer(
        name,
        kind if isinstance(kind, str) else None,
        _tensors(item.get("Inputs")),
        _tensors(item.get("Outputs")),
    )


def _name(item: Any) -> str:
    name = item.get("Name") if isinstance(item, dict) else item
    if not isinstance(name, str):
        raise _malformed("a layer or a tensor has no name")
    return name


def _tensors(items: Any) -> tuple[EngineTensor, ...]:
    kept: Sequence[Any] = items if isinstance(items, list) else []
    return tuple(
        EngineTensor(_name(item), _dtype(item), _shape(item.get("Dimensions")))
        for item in kept
        if isinstance(item, dict)
    )


def _dtype(item: Mapping[str, Any]) -> str | None:
    """The type, out of a field of its own (11) or of the description of the layout (before)."""
    for field in ("DataType", "Datatype", "Format/Datatype"):
        told = item.get(field)
        if isinstance(told, str):
            return _type_in(told)
    return None


def _type_in(words: str) -> str | None:
    for pattern, name in _TYPES:
        if match := pattern.search(words):
            return name or match[0].lower()
    return None


def _shape(told: Any) -> tuple[int, ...] | None:
    if isinstance(told, list) and all(isinstance(side, int) for side in told):
        return tuple(told)
    return None


def _malformed(what: str) -> NoResult:
    message = f"trtexec's file of layers cannot be read: {what}"
    return NoResult(Reason.MALFORMED, message, "build the engine again")
