"""Networks as ONNX files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitbench.catalog.elsewhere import NO_RESOLUTION, hash_bytes, hash_file, make_spec, read_file
from vitbench.catalog.names import format_resolution
from vitbench.catalog.specs import InputSpec, ModelSpec, Resolution
from vitbench.errors import UsageError

if TYPE_CHECKING:
    from onnx import ModelProto, ValueInfoProto


def resolve_onnx(name: str, rest: str, resolution: Resolution | None) -> ModelSpec:
    """Resolve `onnx:FILE.onnx`: inputs, their fixed shapes and the batch are read from the file."""
    path = Path(rest).absolute()
    data = read_file(path, name)
    model = _parse_onnx(path, data)
    stored = {tensor.name for tensor in model.graph.initializer}
    shapes = [_onnx_input(path, value) for value in model.graph.input if value.name not in stored]
    if not shapes:
        raise UsageError(f"{path} has no inputs", "give a network that takes one")
    batches = {shape[0] if shape else None for _, shape, _ in shapes}
    if len(batches) > 1 or None in batches:
        raise UsageError(
            f"the inputs of {path} do not share a batch, their first dimension: "
            + ", ".join(f"'{each}' is {list(shape)}" for each, shape, _ in shapes),
            "export it with the batch as the first dimension of every input",
        )
    (batch,) = batches
    inputs = tuple(
        InputSpec(
            name=each, shape=shape[1:], dtype=dtype, values="normal" if dtype.startswith("float") else "zeros"
        )
        for each, shape, dtype in shapes
    )
    size = next(((shape[2], shape[3]) for _, shape, _ in shapes if len(shape) == 4), NO_RESOLUTION)
    if resolution is not None and resolution != size:
        raise UsageError(
            f"{path} is a graph for {format_resolution(size)}, not for {format_resolution(resolution)}",
            "drop --resolution",
        )
    hyper: dict[str, Any] = {"path": str(path), "sha256": hash_bytes(data), "batch": batch}
    if external := _external_files(path, model):
        hyper["external"] = {each: hash_file(path.parent / each, name) for each in external}
    return make_spec("onnx", path.stem, hyper, size, inputs)


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


def _onnx_input(path: Path, value: ValueInfoProto) -> tuple[str, tuple[int, ...], str]:
    """Name, shape with the batch, and numpy's name of the type of an input."""
    from onnx.helper import tensor_dtype_to_np_dtype

    if not value.type.HasField("tensor_type"):
        raise UsageError(f"input '{value.name}' of {path} is no tensor", "give a network of tensors")
    tensor = value.type.tensor_type
    dims = [dim.dim_value if dim.HasField("dim_value") else dim.dim_param or "?" for dim in tensor.shape.dim]
    if not all(isinstance(dim, int) and dim > 0 for dim in dims):
        raise UsageError(
            f"input '{value.name}' of {path} has the shape {dims}, which is not fixed",
            "export it with fixed sizes, or fix them: python -m onnxruntime.tools.make_dynamic_shape_fixed",
        )
    return value.name, tuple(map(int, dims)), str(tensor_dtype_to_np_dtype(tensor.elem_type))


def _external_files(path: Path, model: ModelProto) -> list[str]:
    """Names of the files beside a graph that hold its weights."""
    from onnx.external_data_helper import uses_external_data

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
