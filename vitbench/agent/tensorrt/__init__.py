"""TensorRT by its Python bindings: engines built, kept, loaded and run on the machine that has the GPU."""

from __future__ import annotations
