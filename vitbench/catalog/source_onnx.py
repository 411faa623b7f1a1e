"""Networks as ONNX files."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitbench.catalog.elsewhere import NO_RESOLUTION, hash_bytes, hash_file, make_spec, read_file
from vitbench.catalog.names import format_resolution
from vitbench.catalog.specs import INTEGERS, InputSpec, ModelSpec, Resolution, Values
from vitbench.errors import UsageError

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto

_SUFFIXED = re.compile(r"(?P<file>.+\.onnx)(?P<suffix>[:@+].*)", re.IGNORECASE)
# Types that inputs and outputs may have.
_TYPES = ("float16", "float32", "float64", "int8", "uint8", "int32", "int64", "bool")


def resolve_onnx(name: str, rest: str, resolution: Resolution | None) -> ModelSpec:
    """Resolve `onnx:FILE.onnx`: inputs, their fixed shapes, the batch and the precision are the file's."""
    path = _path(name, rest)
    data = read_file(path, name)
    model = _parse_onnx(path, data)
    batch, inputs = _inputs(path, model)
    size = next(((each.shape[1], each.shape[2]) for each in inputs if len(each.shape) == 3), NO_RESOLUTION)
    if resolution is not None and resolution != size:
        raise UsageError(
            f"{path} is a graph for {format_resolution(size)}, not for {format_resolution(resolution)}",
            "drop --resolution",
        )
    hyper: dict[str, Any] = {
        "path": str(path),
        "sha256": hash_bytes(data),
        "batch": batch,
        "precision": _precision(model, inputs),
    }
    if external := _external_files(path, model):
        hyper["external"] = {each: hash_file(path.parent / each, name) for each in external}
    return make_spec("onnx", path.stem, hyper, size, inputs)


def _path(name: str, rest: str) -> Path:
    """The file that a name names, which takes no suffixes."""
    if not rest:
        raise UsageError(f"'{name}' names no file", "write onnx:FILE.onnx, for example onnx:net.onnx")
    suffixed = _SUFFIXED.fullmatch(rest)
    if suffixed and not Path(rest).exists() and Path(suffixed["file"]).exists():
        raise UsageError(
            f"'{suffixed['suffix']}' means nothing for a file, which has one form and its own shapes",
            f"write onnx:{suffixed['file']}",
        )
    return Path(rest).absolute()


def _parse_onnx(path: Path, data: bytes) -> ModelProto:
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load_model_from_string(data)
    except (DecodeError, ValueError) as error:
        raise UsageError(
            f"{path} is not an ONNX file: {error}", "give a file written by an exporter"
        ) from error
    if not model.graph.node:
        raise UsageError(f"{path} is not an ONNX file, or holds an empty graph", "give another file")
    return model


def _inputs(path: Path, model: ModelProto) -> tuple[int, tuple[InputSpec, ...]]:
    """The batch of a graph, and its inputs without it."""
    stored = {tensor.name for tensor in model.graph.initializer}
    given = [_onnx_input(path, value) for value in model.graph.input if value.name not in stored]
    if not given:
        raise UsageError(f"{path} has no inputs", "give a network that takes one")
    for value in model.graph.output:
        if value.type.HasField("tensor_type") and value.type.tensor_type.elem_type:
            _type_of(path, "output", value)
    batches = {shape[0] if shape else None for _, shape, _ in given}
    if len(batches) > 1 or None in batches:
        raise UsageError(
            f"the inputs of {path} do not share a batch, their first dimension: "
            + ", ".join(f"'{each}' is {list(shape)}" for each, shape, _ in given),
            "export it with the batch as the first dimension of every input",
        )
    inputs = (
        InputSpec(name=each, shape=shape[1:], dtype=dtype, values=_values(dtype))
        for each, shape, dtype in given
    )
    return given[0][1][0], tuple(inputs)


def _onnx_input(path: Path, value: ValueInfoProto) -> tuple[str, tuple[int, ...], str]:
    """Name, shape with the batch, and numpy's name of the type of an input."""
    if not value.type.HasField("tensor_type"):
        raise UsageError(f"input '{value.name}' of {path} is no tensor", "give a network of tensors")
    tensor = value.type.tensor_type
    dims = [dim.dim_value if dim.HasField("dim_value") else dim.dim_param or "?" for dim in tensor.shape.dim]
    if not all(isinstance(dim, int) and dim > 0 for dim in dims):
        raise UsageError(
            f"input '{value.name}' of {path} has the shape {dims}, which is not fixed",
            "export it with fixed sizes, or fix them: python -m onnxruntime.tools.make_dynamic_shape_fixed",
        )
    return value.name, tuple(map(int, dims)), _type_of(path, "input", value)


def _type_of(path: Path, what: str, value: ValueInfoProto) -> str:
    """Numpy's name of the type of an input or output."""
    from onnx import TensorProto

    kind = value.type.tensor_type.elem_type
    name = TensorProto.DataType.Name(kind).lower() if kind in TensorProto.DataType.values() else str(kind)
    name = {"float": "float32", "double": "float64"}.get(name, name)
    if name not in _TYPES:
        raise UsageError(
            f"{what} '{value.name}' of {path} is of type {name}",
            f"export it with inputs and outputs of {', '.join(_TYPES)}",
        )
    return name


def _values(dtype: str) -> Values:
    """What an input is made of: the range of wide integers, which may be indices, is not known."""
    if dtype.startswith("float"):
        return "normal"
    return "integers" if dtype in INTEGERS else "zeros"


def _precision(model: ModelProto, inputs: tuple[InputSpec, ...]) -> str:
    """`fp16` where most of the float weights are, or every float input of a graph without any."""
    from onnx import TensorProto

    sizes = {TensorProto.FLOAT16: 0, TensorProto.FLOAT: 0, TensorProto.DOUBLE: 0}
    for tensor in (*model.graph.initializer, *_inner_tensors(model.graph.node)):
        if tensor.data_type in sizes:
            sizes[tensor.data_type] += math.prod(tensor.dims)
    half, all_of_them = sizes[TensorProto.FLOAT16], sum(sizes.values())
    if not all_of_them:
        floats = {each.dtype for each in inputs if each.dtype.startswith("float")}
        return "fp16" if floats == {"float16"} else "fp32"
    return "fp16" if 2 * half > all_of_them else "fp32"


def _inner_tensors(nodes: Iterable[NodeProto]) -> Iterator[TensorProto]:
    """Tensors in the attributes of nodes, and all that stand in their subgraphs."""
    for node in nodes:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for graph in (attribute.g, *attribute.graphs):
                yield from graph.initializer
                yield from _inner_tensors(graph.node)


def _external_files(path: Path, model: ModelProto) -> list[str]:
    """Names of the files beside a graph that hold its weights."""
    from onnx.external_data_helper import uses_external_data

    functions = [node for function in model.functions for node in function.node]
    for tensor in _inner_tensors([*model.graph.node, *functions]):
        if uses_external_data(tensor):
            raise UsageError(
                f"{path} keeps values of a constant or of a subgraph in another file ('{tensor.name}')",
                "write it as one file: python -c 'import onnx; "
                f'onnx.save(onnx.load("{path.name}"), "{path.stem}-whole.onnx")\'',
            )
    places = {
        entry.value
        for tensor in model.graph.initializer
        if uses_external_data(tensor)
        for entry in tensor.external_data
        if entry.key == "location"
    }
    for place in places:
        if Path(place).is_absolute() or ".." in Path(place).parts:
            raise UsageError(f"{path} reads weights from outside of its folder: {place}", "export it again")
    return sorted(places)
