"""Tensors as raw little-endian files: how inputs and outputs travel between host and agent."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitbench.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class TensorSpec:
    """Name, numpy dtype name and shape of one input or output. A free dimension is -1."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class TensorFile(TensorSpec):
    """A tensor whose bytes are the file `path` on this machine: little-endian, row-major, nothing else."""

    path: Path

    def read(self) -> NDArray[Any]:
        """Read the values into an array of `dtype` and `shape`.

        Raises:
            UsageError: the file cannot be read or does not hold exactly this tensor.
        """
        import numpy as np

        dtype = np.dtype(self.dtype)
        try:
            data = self.path.read_bytes()
        except OSError as error:
            raise UsageError(f"cannot read tensor '{self.name}' from {self.path}: {error.strerror}") from None
        if len(data) != prod(self.shape) * dtype.itemsize:
            raise UsageError(
                f"{self.path} holds {len(data)} bytes, not the {self.dtype} {self.shape} of '{self.name}'"
            )
        return np.frombuffer(data, dtype.newbyteorder("<")).astype(dtype, copy=False).reshape(self.shape)


def write_tensor(name: str, array: np.ndarray[Any, np.dtype[Any]], path: Path) -> TensorFile:
    """Write an array as a raw file and return its description."""
    import numpy as np

    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    path.write_bytes(little.tobytes())
    return TensorFile(name, array.dtype.name, tuple(array.shape), path)
