"""Raw tensor files on the host's side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vitbench.agent import tensors
from vitbench.errors import UsageError
from vitbench.runtime import TensorFile, write_tensor


@pytest.mark.parametrize("dtype", ["float32", "float16", "int64", "uint8"])
def test_writes_and_reads_back(tmp_path: Path, dtype: str) -> None:
    array = np.arange(24).reshape(2, 3, 4).astype(dtype).transpose(0, 2, 1)
    tensor = write_tensor("x", array, tmp_path / "x.bin")
    assert tensor == TensorFile("x", dtype, (2, 4, 3), tmp_path / "x.bin")
    assert tensor.path.stat().st_size == array.nbytes
    np.testing.assert_array_equal(tensor.read(), array)
    assert tensor.read().dtype == array.dtype


def test_big_endian_arrays_are_written_little_endian(tmp_path: Path) -> None:
    tensor = write_tensor("x", np.array([1, 2], ">f4"), tmp_path / "x.bin")
    assert tensor.path.read_bytes() == np.array([1, 2], "<f4").tobytes()
    assert tensor.dtype == "float32"


def test_the_agent_reads_what_the_host_writes(tmp_path: Path) -> None:
    array = np.linspace(-1, 1, 12, dtype="float32").reshape(3, 4)
    tensor = write_tensor("x", array, tmp_path / "x.bin")
    item = {"name": tensor.name, "dtype": tensor.dtype, "shape": list(tensor.shape), "path": str(tensor.path)}
    np.testing.assert_array_equal(tensors.read(item), array)


def test_says_what_is_wrong_with_a_file(tmp_path: Path) -> None:
    missing = TensorFile("x", "float32", (1,), tmp_path / "x.bin")
    with pytest.raises(UsageError, match="cannot read tensor 'x'"):
        missing.read()
    missing.path.write_bytes(b"\0\0\0")
    with pytest.raises(UsageError, match=r"holds 3 bytes, not the float32 \(1,\) of 'x'"):
        missing.read()
