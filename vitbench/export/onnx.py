"""Module to ONNX by the dynamo exporter, at a fixed shape."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import onnx
import onnx_ir
import torch
from torch import nn

from vitbench.catalog.specs import Inputs, InputSpec, as_inputs
from vitbench.errors import ToolError, VitbenchError
from vitbench.export.formats import OPSET
from vitbench.export.onnx_graph import EMBEDDED_LIMIT_BYTES, clean, read_checked, write
from vitbench.export.quiet import quiet


def export_onnx(
    module: nn.Module,
    inputs: Inputs,
    path: Path,
    *,
    dtype: torch.dtype = torch.float32,
    opset: int = OPSET,
    embedded_limit_bytes: int = EMBEDDED_LIMIT_BYTES,
) -> onnx.ModelProto:
    """Write a module as ONNX: static shapes, inputs named as asked, outputs as `module.output_names`.

    The same module gives the same bytes in every process. The graph is cleaned by steps that keep every
    value to the bit (constants folded, duplicates and dead nodes removed): the exporter's own optimisation
    is not among them, because it takes constants under 1e-8 for zero and then drops their additions.

    Args:
        module: network in inference form, in eval mode.
        inputs: what it takes, in order, with the batch in the shapes; or the shape of its one input, which
            is then named "input".
        dtype: of the float inputs; the module's weights are in it already.
        opset: of the graph; under 18 this exporter writes 18 all the same, which is refused.
        path: the file; weights that a protobuf message cannot hold go to `<name>.data` beside it.
        embedded_limit_bytes: weights larger than this go to a file of their own.

    Returns:
        The model as it was written and checked; weights in a file of their own are not loaded.

    Raises:
        ToolError: the exporter failed, or made what `onnx.checker` refuses.
        VitbenchError: the graph has not the shape that was asked for.
    """
    described = as_inputs(inputs)
    output_names = cast("tuple[str, ...]", module.output_names)
    try:
        with quiet():
            model = _translate(module, described, output_names, dtype, opset)
            clean(model)
    except (
        torch.onnx.errors.OnnxExporterError,
        torch._dynamo.exc.TorchDynamoException,
        RuntimeError,
    ) as error:
        raise exporter_failed(error) from error
    write(model, path, embedded_limit_bytes)
    del model  # it has a copy of many weights
    return read_checked(path, described, output_names, opset)


def _translate(
    module: nn.Module,
    inputs: tuple[InputSpec, ...],
    output_names: tuple[str, ...],
    floating: torch.dtype,
    opset: int,
) -> onnx_ir.Model:
    examples = zeros(inputs, floating)
    # Capturing the program here leaves torch.onnx no other strategy to fall back to.
    program = torch.export.export(module, examples, strict=False)
    exported = torch.onnx.export(
        program,
        (),
        input_names=[each.name for each in inputs],
        output_names=list(output_names),
        opset_version=opset,
        dynamo=True,
        optimize=False,
        verbose=False,
    )
    if exported is None:
        raise VitbenchError("torch.onnx.export returned no program")
    return exported.model


def zeros(inputs: tuple[InputSpec, ...], floating: torch.dtype) -> tuple[torch.Tensor, ...]:
    """Zeros for every input, floats in the type that is given."""
    types = (getattr(torch, each.dtype) for each in inputs)
    return tuple(
        torch.zeros(each.shape, dtype=floating if dtype.is_floating_point else dtype)
        for each, dtype in zip(inputs, types, strict=True)
    )


def exporter_failed(error: Exception) -> ToolError:
    """What is raised where the exporter failed, with its own words."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return ToolError(
        f"the ONNX exporter of torch {torch.__version__} failed: {lines[0]}",
        "the last lines are the exporter's own",
        tail="\n".join(lines[-20:]),
    )
