"""Networks as graphs of PyTorch's ATen operators: JSON and raw weights, from which nothing is executed.

`torch.export.load` unpickles parts of its archive, and its graph holds expressions that are evaluated. Here a
graph names operators of ATen alone, and everything they take is a number, a word of a short list, a type, or
the number of a value: inputs first, then weights, then what the nodes give, in their order.

    {"version": 1,
     "inputs":  [{"name", "dtype", "shape"}, ...],
     "weights": [{"dtype", "shape", "offset"}, ...],       into the file of weights, in bytes
     "nodes":   [{"op": "conv2d.default", "args": [...], "kwargs": {...}} | {"item": [value, index]}, ...],
     "outputs": [{"name", "dtype", "shape", "value"}, ...]}

A value is {"value": 7}, a type {"dtype": "float16"}, the device {"device": null}; lists may nest.
"""

from __future__ import annotations

import json
import keyword
import operator
import re
from pathlib import Path
from typing import Any, Dict, List

from ..errors import AgentError

VERSION = 1
GRAPH_FILE = "graph.json"
WEIGHTS_FILE = "weights.bin"
DTYPES = ("float16", "bfloat16", "float32", "float64", "int64", "int32", "int16", "int8", "uint8", "bool")
# Words that operators take.
WORDS = frozenset(
    ("none", "tanh", "floor", "trunc", "same", "valid", "constant", "reflect", "replicate", "circular")
)
_OPERATOR = re.compile(r"[a-z_][a-z0-9_]*\.[A-Za-z][A-Za-z0-9_]*")


class Graph:
    """A graph as a PyTorch module.

    Attributes:
        module: an `fx.GraphModule`, its weights on the device.
        inputs, outputs: `name`, `dtype` and `shape` of each, in order.
    """

    def __init__(self, path: Path, device: Any) -> None:
        """Read a graph and the weights beside it.

        Raises:
            AgentError: it cannot be read, or is not of this form.
        """
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            data = bytearray(path.with_name(WEIGHTS_FILE).read_bytes())
        except OSError as error:
            raise AgentError("io", f"cannot read {path}: {error}") from None
        except (ValueError, RecursionError):
            raise AgentError("usage", f"{path} is not JSON") from None
        if not isinstance(told, dict) or told.get("version") != VERSION:
            raise AgentError("usage", f"{path} is not a graph of version {VERSION}")
        try:
            self.inputs: List[Dict[str, Any]] = [_described(item) for item in told["inputs"]]
            self.outputs: List[Dict[str, Any]] = [_described(item) for item in told["outputs"]]
            self.module = _build(told, data, device)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
            raise AgentError("usage", f"{path} is malformed: {type(error).__name__}: {error}") from None


def _build(told: Dict[str, Any], data: bytearray, device: Any) -> Any:
    """The module of a graph. Names are given here: none of the file's gets into code."""
    import torch
    from torch import fx

    root, graph = torch.nn.Module(), fx.Graph()
    values: List[Any] = [graph.placeholder(f"input_{index}") for index in range(len(told["inputs"]))]
    for index, item in enumerate(told["weights"]):
        tensor = _weight(item, data).to(device)
        if tensor.is_floating_point():
            setattr(root, f"w{index}", torch.nn.Parameter(tensor, requires_grad=False))
        else:
            root.register_buffer(f"w{index}", tensor)
        values.append(graph.get_attr(f"w{index}"))
    for item in told["nodes"]:
        if "item" in item:
            source, place = item["item"]
            values.append(graph.call_function(operator.getitem, (_value(source, values), int(place))))
            continue
        args = tuple(_argument(each, values, device) for each in item["args"])
        kwargs = {_name(key): _argument(each, values, device) for key, each in item["kwargs"].items()}
        values.append(graph.call_function(find_operator(item["op"]), args, kwargs))
    graph.output(tuple(_value(item["value"], values) for item in told["outputs"]))
    return fx.GraphModule(root, graph).eval()


def find_operator(name: str) -> Any:
    """An operator of ATen by `name.overload`.

    Raises:
        ValueError: a name that is none, or the name of one that opens a file.
    """
    import torch

    if not (isinstance(name, str) and _OPERATOR.fullmatch(name)):
        raise ValueError(f"{name!r} names no operator")
    packet, _, overload = name.partition(".")
    try:
        found = getattr(getattr(torch.ops.aten, packet), overload)
    except (AttributeError, RuntimeError):
        raise ValueError(f"torch {torch.__version__} has no operator aten.{name}") from None
    if not isinstance(found, torch._ops.OpOverload):
        raise ValueError(f"{name!r} names no operator")
    if any(argument.name == "filename" for argument in found._schema.arguments):
        raise ValueError(f"operator aten.{name} opens a file")
    return found


def _argument(told: Any, values: List[Any], device: Any) -> Any:
    import torch

    if isinstance(told, list):
        return [_argument(each, values, device) for each in told]
    if isinstance(told, str):
        if told not in WORDS:
            raise ValueError(f"no operator takes the word {told!r}")
        return told
    if not isinstance(told, dict):
        return told
    ((kind, value),) = told.items()
    if kind == "value":
        return _value(value, values)
    if kind == "dtype":
        return _dtype(value)
    if kind == "device":
        return torch.device(device)
    raise ValueError(f"an argument of the kind {kind!r}")


def _value(index: Any, values: List[Any]) -> Any:
    if type(index) is not int or not 0 <= index < len(values):
        raise ValueError(f"there is no value {index!r} yet")
    return values[index]


def _dtype(name: Any) -> Any:
    import torch

    if name not in DTYPES:
        raise ValueError(f"unknown type {name!r}")
    return getattr(torch, name)


def _name(key: str) -> str:
    if not key.isidentifier() or keyword.iskeyword(key):
        raise ValueError(f"{key!r} names no argument")
    return key


def _weight(item: Dict[str, Any], data: bytearray) -> Any:
    import torch

    dtype, shape, offset = _dtype(item["dtype"]), [int(side) for side in item["shape"]], int(item["offset"])
    count = 1
    for side in shape:
        count *= side
    if count == 0:
        return torch.empty(shape, dtype=dtype)
    if offset < 0 or min(shape, default=1) < 0:
        raise ValueError("a weight before the beginning of its file")
    return torch.frombuffer(data, dtype=dtype, count=count, offset=offset).reshape(shape)


def _described(item: Dict[str, Any]) -> Dict[str, Any]:
    if item["dtype"] not in DTYPES:
        raise ValueError(f"unknown type {item['dtype']!r}")
    shape = [int(side) for side in item["shape"]]
    return {"name": str(item["name"]), "dtype": str(item["dtype"]), "shape": shape}
