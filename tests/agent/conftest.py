"""The stand-in for a GPU and TensorRT, in this process."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tests.support.tensorrt_stand_in
from vitbench.agent import cuda

HERE = Path(tests.support.tensorrt_stand_in.__file__).parent


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A fresh simulated GPU, which `cuda.load()` finds."""
    monkeypatch.syspath_prepend(str(HERE))
    for name in [name for name in sys.modules if name.partition(".")[0] in ("gpu_stand_in", "tensorrt")]:
        monkeypatch.delitem(sys.modules, name)
    module = importlib.import_module("gpu_stand_in")
    monkeypatch.setattr(cuda, "load", lambda: cuda.Driver(module.Library(module.GPU)))
    yield module.GPU
    for name in [name for name in sys.modules if name.partition(".")[0] in ("gpu_stand_in", "tensorrt")]:
        del sys.modules[name]


@pytest.fixture
def driver(gpu: Any) -> cuda.Driver:
    """The driver of that GPU."""
    return cuda.load()


@pytest.fixture
def play(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Has the stand-in play a version of TensorRT; returns its package."""

    def play(version: str) -> Any:
        monkeypatch.setenv("VITBENCH_STAND_IN_TENSORRT", version)
        return importlib.import_module("tensorrt")

    return play
