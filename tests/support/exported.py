"""Plain dynamo exports, without any of the project's own graph passes."""

from __future__ import annotations

import io
import warnings
from contextlib import redirect_stdout

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn


def dynamo_export(module: nn.Module, shape: tuple[int, ...], *, optimize: bool) -> onnx.ModelProto:
    """Export with static shapes; `optimize` is the exporter's own (lossy) optimisation."""
    with redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module,
            (torch.zeros(shape),),
            dynamo=True,
            optimize=optimize,
            verbose=False,
            input_names=["input"],
        )
    return program.model_proto


def run_onnx(model: onnx.ModelProto, x: torch.Tensor) -> torch.Tensor:
    """Output of the graph in ONNX Runtime on the CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    (output,) = session.run(None, {"input": np.ascontiguousarray(x.numpy())})
    return torch.from_numpy(output)
