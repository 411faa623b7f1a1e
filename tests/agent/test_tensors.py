"""Raw tensor files on the agent's side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vitbench.agent import tensors
from vitbench.agent.errors import AgentError


@pytest.mark.parametrize("dtype", ["float32", "float16", "int64", "uint8", "bool"])
def test_writes_and_reads_back(tmp_path: Path, dtype: str) -> None:
    array = np.arange(6).reshape(2, 3).astype(dtype)
    [item] = tensors.write_all({"a/../name": array}, str(tmp_path / "new"), "0000")
    assert item["name"] == "a/../name"
    assert Path(item["path"]).parent == tmp_path / "new"
    read = tensors.read_all([item])["a/../name"]
    assert read.dtype == array.dtype
    np.testing.assert_array_equal(read, array)


def test_transposed_arrays_are_written_in_row_major_order(tmp_path: Path) -> None:
    array = np.arange(6, dtype="float32").reshape(2, 3).T
    [item] = tensors.write_all({"x": array}, str(tmp_path), "0000")
    np.testing.assert_array_equal(tensors.read(item), array)


def described(file: Path, **changes: Any) -> dict[str, Any]:
    return {"name": "x", "dtype": "float32", "shape": [2, 2], "path": str(file), **changes}


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({}, "usage", "holds 12 bytes, not the 16"),
        ({"dtype": "float99"}, "usage", "malformed tensor"),
        ({"shape": ["a"]}, "usage", "malformed tensor"),
        ({"shape": None}, "usage", "malformed tensor"),
        ({"path": "/nowhere/x.bin"}, "io", "cannot read tensor 'x'"),
    ],
)
def test_refuses_what_does_not_fit(tmp_path: Path, changes: dict[str, Any], kind: str, message: str) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(b"\0" * 12)
    with pytest.raises(AgentError, match=message) as caught:
        tensors.read_all([described(path, **changes)])
    assert caught.value.kind == kind


@pytest.mark.parametrize("items", [None, "x", [1], [{"dtype": "float32"}]])
def test_refuses_what_is_no_list_of_tensors(items: Any) -> None:
    with pytest.raises(AgentError) as caught:
        tensors.read_all(items)
    assert caught.value.kind == "usage"


def test_says_where_it_cannot_write(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AgentError, match="cannot write outputs") as caught:
        tensors.write_all({"x": np.zeros(1, "float32")}, str(tmp_path / "file"), "0000")
    assert caught.value.kind == "io"
