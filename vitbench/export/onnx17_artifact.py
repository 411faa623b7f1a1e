"""An artifact's graph in ONNX at opset 17."""

from __future__ import annotations

import torch

from vitbench.export import formats
from vitbench.export.built import Job, Written
from vitbench.export.onnx17 import export_onnx17
from vitbench.export.onnx_artifact import write_with


def write(job: Job) -> Written:
    """Write and count the graph of a network.

    Raises:
        ToolError: the exporter failed.
        UsageError, UnsupportedOperators, VitbenchError: as `onnx_artifact.count_graph`.
    """
    exporter = f"torch {torch.__version__} torchscript"
    return write_with(export_onnx17, job, exporter=exporter, opset=formats.OPSET_17)
