"""Networks of a few words that the stand-in reads, and tensors for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TYPED = [["conv", "Conv", ["HALF"]], ["enter", "Cast", ["FLOAT"]], ["qk", "MatMul", ["FLOAT"]],
         ["kv", "MatMul", ["FLOAT"]], ["leave", "Cast", ["HALF"]]]  # fmt: skip
ISLANDS = ["enter", "qk", "kv"]


def write_toy(
    directory: Path, *, nodes: Any = None, shape: tuple[int, ...] = (1, 4), outputs: int = 1
) -> Path:
    """Write a network from `x` to `y0`, `y1`, ..., which hold the bytes of `x`; alone in a directory."""
    told = {
        "inputs": [["x", "HALF", shape]],
        "outputs": [[f"y{number}", "HALF", shape] for number in range(outputs)],
        "nodes": TYPED if nodes is None else nodes,
    }
    directory.mkdir(exist_ok=True)
    path = directory / "model.onnx"
    path.write_text(json.dumps(told))
    return path


def write_input(
    path: Path, data: bytes = b"12345678", *, name: str = "x", dtype: str = "float16"
) -> dict[str, Any]:
    """Write an input of such a network, and describe it as an agent is told."""
    path.write_bytes(data)
    return {"name": name, "dtype": dtype, "shape": [1, 4], "path": str(path)}


def build_options(directory: Path, /, **changed: Any) -> dict[str, Any]:
    """Options of a build, some of them others than usual."""
    usual = {
        "precision": "fp16",
        "islands": ISLANDS,
        "tf32": False,
        "workspace_mb": 64,
        "optimization_level": 3,
        "avg_timing": 8,
        "timing_cache": "keep",
        "device": 0,
        "directory": str(directory),
        "rebuild": False,
    }
    return {**usual, **changed}


def load_options(engine: str, /, **changed: Any) -> dict[str, Any]:
    """Options of a load, some of them others than usual."""
    usual = {"engine": engine, "device": 0, "spin_wait": True, "cuda_graph": False, "profile": False}
    return {**usual, **changed}
