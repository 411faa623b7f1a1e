"""Module to ONNX at opset 17 by the TorchScript exporter: for TensorRT 8.5 and 8.6, which know no later one.

The dynamo exporter cannot go under 18. Nodes have the names of the other exporter, `<module>/<operator>`,
and what TensorRT 8.5 does not know is written out.
"""

from __future__ import annotations

import tempfile
from itertools import pairwise
from pathlib import Path
from typing import cast

import onnx
import onnx_ir
import torch
from torch import nn

from vitbench.catalog.specs import Inputs, InputSpec, as_inputs
from vitbench.export.formats import OPSET_17
from vitbench.export.onnx import exporter_failed, zeros
from vitbench.export.onnx_graph import EMBEDDED_LIMIT_BYTES, SCOPES, clean, read_checked, write
from vitbench.export.quiet import quiet
from vitbench.export.tracing import WithoutComputing
from vitbench.export.written_out import WriteOutLayerNorm


def export_onnx17(
    module: nn.Module,
    inputs: Inputs,
    path: Path,
    *,
    dtype: torch.dtype = torch.float32,
    embedded_limit_bytes: int = EMBEDDED_LIMIT_BYTES,
) -> onnx.ModelProto:
    """Write a module as ONNX at opset 17; everything else is as in `onnx.export_onnx`.

    Raises:
        ToolError: the exporter failed, or made what `onnx.checker` refuses.
        VitbenchError: the graph has not the shape that was asked for.
    """
    described = as_inputs(inputs)
    output_names = cast("tuple[str, ...]", module.output_names)
    with tempfile.TemporaryDirectory(prefix="vitbench-onnx17-") as scratch:
        try:
            with quiet():
                model = _translate(module, described, output_names, dtype, Path(scratch) / "traced.onnx")
                clean(model, WriteOutLayerNorm())
        except (torch.onnx.errors.OnnxExporterError, RuntimeError) as error:
            raise exporter_failed(error) from error
        write(model, path, embedded_limit_bytes)
        del model
    return read_checked(path, described, output_names, OPSET_17)


def _translate(
    module: nn.Module,
    inputs: tuple[InputSpec, ...],
    output_names: tuple[str, ...],
    floating: torch.dtype,
    scratch: Path,
) -> onnx_ir.Model:
    with WithoutComputing():
        torch.onnx.export(
            module,
            zeros(inputs, floating),
            scratch,
            input_names=[each.name for each in inputs],
            output_names=list(output_names),
            opset_version=OPSET_17,
            dynamo=False,
            do_constant_folding=False,  # done afterwards, by the steps that every graph goes through
            verbose=False,
        )
    model = onnx_ir.load(scratch)
    for node in model.graph:
        node.metadata_props[SCOPES] = repr([module_of(node.name or ""), ""])
    return model


def module_of(name: str) -> str:
    """Path of the module that a traced node is in: `stages.0.conv` of `/stages/stages.0/conv/Conv`.

    A child of a container that is called itself, a Sequential, bears the container's name in its own.
    """
    parts = name.strip("/").split("/")[:-1]
    kept = [part for part, child in pairwise([*parts, ""]) if not child.startswith(f"{part}.")]
    return ".".join(kept)
