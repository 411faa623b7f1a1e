"""Tensors as raw little-endian files. Needs numpy, which every runtime with tensors brings."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List

from .errors import AgentError


def read(item: Any) -> Any:
    """Read `{"name", "dtype", "shape", "path"}` into a numpy array in native byte order.

    Raises:
        AgentError: a malformed description, or a file that does not hold exactly this tensor.
    """
    import numpy as np

    try:
        name, path = str(item["name"]), str(item["path"])
        dtype, shape = np.dtype(item["dtype"]), tuple(int(side) for side in item["shape"])
    except (TypeError, KeyError, ValueError) as error:
        raise AgentError("usage", f"malformed tensor {item!r}: {error}") from None
    try:
        array = np.fromfile(path, dtype.newbyteorder("<"))
        size = Path(path).stat().st_size
    except OSError as error:
        raise AgentError("io", f"cannot read tensor '{name}': {error}") from None
    expected = dtype.itemsize
    for side in shape:
        expected *= side
    if size != expected:
        raise AgentError(
            "usage",
            f"tensor '{name}': {path} holds {size} bytes, not the {expected} of {dtype} {shape}",
        )
    return np.ascontiguousarray(array.astype(dtype, copy=False).reshape(shape))


def read_all(items: Any) -> Dict[str, Any]:
    """Read a list of tensor descriptions into arrays by name."""
    if not isinstance(items, list):
        raise AgentError("usage", "inputs must be a list of tensors")
    return {str(item["name"]): read(item) for item in items if _named(item)}


def write_all(arrays: Dict[str, Any], out_dir: str, stem: str) -> List[Dict[str, Any]]:
    """Write arrays as raw files `<stem>-<position>.bin` of a directory and describe them."""
    import numpy as np

    described = []
    try:
        Path(out_dir).mkdir(parents=True, exist_ok=True)
        for position, (name, array) in enumerate(arrays.items()):
            path = str(Path(out_dir, f"{stem}-{position}.bin"))
            np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tofile(path)
            described.append(
                {"name": name, "dtype": array.dtype.name, "shape": list(array.shape), "path": path}
            )
    except OSError as error:
        raise AgentError("io", f"cannot write outputs to {out_dir}: {error}") from None
    return described


def _named(item: Any) -> bool:
    if isinstance(item, dict) and "name" in item:
        return True
    raise AgentError("usage", f"malformed tensor {item!r}: it has no name")
