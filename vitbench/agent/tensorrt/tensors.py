"""An engine's inputs and outputs: in files without numpy, and in memory of the host and of the GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

from ..cuda import Context, DeviceBuffer, PinnedBuffer, Stream
from ..errors import AgentError

# TensorRT's names of types, as numpy calls them, and their bytes. Others have no file of their own.
DTYPES = {
    "FLOAT": ("float32", 4),
    "HALF": ("float16", 2),
    "INT8": ("int8", 1),
    "INT32": ("int32", 4),
    "INT64": ("int64", 8),
    "UINT8": ("uint8", 1),
    "BOOL": ("bool", 1),
}


class TensorInfo:
    """Name, numpy's dtype, shape and bytes of one input or output.

    Raises:
        AgentError: it has a free dimension, or a type without a file of its own.
    """

    def __init__(self, name: str, dtype: str, shape: Tuple[int, ...]) -> None:
        if dtype not in DTYPES:
            raise AgentError(
                "usage", f"tensor '{name}' of the engine is {dtype}, which cannot be read or written"
            )
        if any(side < 0 for side in shape):
            raise AgentError(
                "usage",
                f"tensor '{name}' of the engine has a free dimension ({list(shape)}): build it for one shape",
            )
        self.name, self.shape = name, shape
        self.dtype, self.size = DTYPES[dtype]
        for side in shape:
            self.size *= side

    def describe(self) -> Dict[str, Any]:
        """As `load` answers it."""
        return {"name": self.name, "dtype": self.dtype, "shape": list(self.shape)}


def tensors_of(trt: Any, engine: Any) -> Tuple[List[TensorInfo], List[TensorInfo]]:
    """Inputs and outputs of an engine, in its order."""
    found: Tuple[List[TensorInfo], List[TensorInfo]] = ([], [])
    for index in range(engine.num_io_tensors):
        name = engine.get_tensor_name(index)
        shape = tuple(int(side) for side in engine.get_tensor_shape(name))
        info = TensorInfo(name, engine.get_tensor_dtype(name).name, shape)
        found[engine.get_tensor_mode(name) != trt.TensorIOMode.INPUT].append(info)
    return found


def read_files(items: Any, wanted: List[TensorInfo]) -> Dict[str, bytes]:
    """Read `{"name", "dtype", "shape", "path"}` for every input; the bytes are little-endian, as GPUs are.

    Raises:
        AgentError: they are not the inputs of the engine, or a file does not hold exactly its tensor.
    """
    if not isinstance(items, list) or not all(isinstance(item, dict) and "name" in item for item in items):
        raise AgentError("usage", "inputs must be a list of tensors, each with a name")
    given = {str(item["name"]): item for item in items}
    names = [info.name for info in wanted]
    if set(given) != set(names):
        raise AgentError("usage", f"the engine's inputs are {sorted(names)}, not {sorted(given)}")
    return {info.name: _read(given[info.name], info) for info in wanted}


def _read(item: Dict[str, Any], info: TensorInfo) -> bytes:
    dtype, shape = item.get("dtype"), item.get("shape")
    if dtype != info.dtype or list(shape or []) != list(info.shape):
        raise AgentError(
            "usage",
            f"input '{info.name}' of the engine is {info.dtype} {list(info.shape)}, not {dtype} {shape}",
        )
    try:
        data = Path(str(item.get("path"))).read_bytes()
    except OSError as error:
        raise AgentError("io", f"cannot read tensor '{info.name}': {error}") from None
    if len(data) != info.size:
        raise AgentError(
            "usage", f"tensor '{info.name}': {item['path']} holds {len(data)} bytes, not {info.size}"
        )
    return data


def write_files(values: Dict[str, bytes], infos: List[TensorInfo], out_dir: str, stem: str) -> List[Any]:
    """Write outputs as raw files `<stem>-<position>.bin` of a directory and describe them.

    Raises:
        AgentError: they cannot be written there.
    """
    described = []
    try:
        Path(out_dir).mkdir(parents=True, exist_ok=True)
        for position, info in enumerate(infos):
            path = Path(out_dir, f"{stem}-{position}.bin")
            path.write_bytes(values[info.name])
            described.append({**info.describe(), "path": str(path)})
    except OSError as error:
        raise AgentError("io", f"cannot write outputs to {out_dir}: {error}") from None
    return described


class Buffers:
    """Memory for every input and output: pinned on the host, and on the GPU.

    Raises:
        AgentError: there is not as much memory.
    """

    def __init__(self, context: Context, inputs: List[TensorInfo], outputs: List[TensorInfo]) -> None:
        self._context = context
        self.inputs, self.outputs = inputs, outputs
        self.host: Dict[str, PinnedBuffer] = {}
        self.device: Dict[str, DeviceBuffer] = {}
        for info in (*inputs, *outputs):
            self.host[info.name] = context.pinned(info.size)
            self.device[info.name] = context.device_memory(info.size)

    def fill(self, values: Dict[str, bytes]) -> None:
        """Put the inputs into the host's buffers."""
        for name, data in values.items():
            self.host[name].write(data)

    def fetched(self) -> Dict[str, bytes]:
        """What lies in the host's buffers of the outputs."""
        return {info.name: self.host[info.name].read() for info in self.outputs}

    def to_device(self, stream: Stream) -> List[Callable[[], None]]:
        """What queues the copy of each input to the GPU."""
        return [
            self._context.to_device(self.device[info.name], self.host[info.name], stream)
            for info in self.inputs
        ]

    def to_host(self, stream: Stream) -> List[Callable[[], None]]:
        """What queues the copy of each output from the GPU."""
        return [
            self._context.to_host(self.host[info.name], self.device[info.name], stream)
            for info in self.outputs
        ]
