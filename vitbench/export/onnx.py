"""Module to ONNX by the dynamo exporter, at a fixed shape."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path
from typing import cast

import onnx
import onnx_ir
import onnx_ir.passes.common as passes
import torch
from onnxscript import optimizer, rewriter
from onnxscript.rewriter.rules import common as rules
from torch import nn

from vitbench.catalog.specs import Inputs, InputSpec, as_inputs
from vitbench.errors import ToolError, VitbenchError
from vitbench.export.formats import OPSET
from vitbench.export.quiet import quiet

# A protobuf message ends at 2 GiB; the graph itself needs some of that.
EMBEDDED_LIMIT_BYTES = 1_900_000_000
_NO_LIMIT = 1 << 62


def export_onnx(
    module: nn.Module,
    inputs: Inputs,
    path: Path,
    *,
    dtype: torch.dtype = torch.float32,
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
            model = _translate(module, described, output_names, dtype)
            _clean(model)
    except (
        torch.onnx.errors.OnnxExporterError,
        torch._dynamo.exc.TorchDynamoException,
        RuntimeError,
    ) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ToolError(
            f"the ONNX exporter of torch {torch.__version__} failed: {lines[0]}",
            "the last lines are the exporter's own",
            tail="\n".join(lines[-20:]),
        ) from error
    _save(model, path, embedded_limit_bytes)
    del model  # it has a copy of many weights
    try:
        onnx.checker.check_model(str(path), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ToolError("onnx.checker refuses the exported graph", tail=str(error)) from error
    written = onnx.load(path, load_external_data=False)
    _check_signature(written, described, output_names)
    return written


def _translate(
    module: nn.Module, inputs: tuple[InputSpec, ...], output_names: tuple[str, ...], floating: torch.dtype
) -> onnx_ir.Model:
    examples = tuple(_zeros(each, floating) for each in inputs)
    # Capturing the program here leaves torch.onnx no other strategy to fall back to.
    program = torch.export.export(module, examples, strict=False)
    exported = torch.onnx.export(
        program,
        (),
        input_names=[each.name for each in inputs],
        output_names=list(output_names),
        opset_version=OPSET,
        dynamo=True,
        optimize=False,
        verbose=False,
    )
    if exported is None:
        raise VitbenchError("torch.onnx.export returned no program")
    return exported.model


def _zeros(tensor: InputSpec, floating: torch.dtype) -> torch.Tensor:
    dtype: torch.dtype = getattr(torch, tensor.dtype)
    return torch.zeros(tensor.shape, dtype=floating if dtype.is_floating_point else dtype)


def _clean(model: onnx_ir.Model) -> None:
    """Fold and tidy a graph in place without changing a value."""
    steps = (
        passes.InlinePass(),
        _FoldConstants(),
        rewriter.RewritePass([rules.remove_optional_bias_from_conv_rule]),
        passes.RemoveUnusedNodesPass(),
        passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        passes.DeduplicateInitializersPass(),
        passes.CommonSubexpressionEliminationPass(),
        passes.RemoveUnusedNodesPass(),
        passes.RemoveUnusedOpsetsPass(),
    )
    for step in steps:
        step(model)
    _name_nodes(model)
    # Source lines and paths of this machine would make equal graphs differ.
    passes.ClearMetadataAndDocStringPass()(model)


def _name_nodes(model: onnx_ir.Model) -> None:
    """Name each node `<module>/<operator>`, numbered from the second of a name on."""
    seen: Counter[str] = Counter()
    for node in model.graph:
        scopes = ast.literal_eval(node.metadata_props.get("pkg.torch.onnx.name_scopes", "[]"))
        name = f"{scopes[-2] if len(scopes) > 1 else ''}/{node.op_type}"
        seen[name] += 1
        node.name = name if seen[name] == 1 else f"{name}_{seen[name]}"


class _FoldConstants(onnx_ir.passes.InPlacePass):
    """Compute whatever depends on constants only, of any size."""

    def call(self, model: onnx_ir.Model) -> onnx_ir.passes.PassResult:
        result = optimizer.fold_constants(
            model, input_size_limit=_NO_LIMIT, output_size_limit=_NO_LIMIT, onnx_shape_inference=True
        )
        return onnx_ir.passes.PassResult(model, result.modified)


def _save(model: onnx_ir.Model, path: Path, embedded_limit_bytes: int) -> None:
    weights = sum(
        value.const_value.nbytes for value in model.graph.initializers.values() if value.const_value
    )
    external = f"{path.name}.data" if weights > embedded_limit_bytes else None
    onnx_ir.save(model, path, external_data=external)


def _check_signature(
    model: onnx.ModelProto, inputs: tuple[InputSpec, ...], output_names: tuple[str, ...]
) -> None:
    """Check opset, names and static shapes of a graph.

    Raises:
        VitbenchError: the first that is not as asked for.
    """
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    if opsets != {"": OPSET}:
        raise VitbenchError(f"the exported graph has opsets {opsets}, not {OPSET} alone")
    found = {tensor.name: shape_of(tensor) for tensor in model.graph.input}
    asked = {each.name: each.shape for each in inputs}
    if list(found.items()) != list(asked.items()):
        raise VitbenchError(f"the exported graph takes {found}, not {asked}")
    outputs = [tensor.name for tensor in model.graph.output]
    if outputs != list(output_names):
        raise VitbenchError(f"the exported graph gives {outputs}, not {list(output_names)}")
    for tensor in model.graph.output:
        shape_of(tensor)


def shape_of(tensor: onnx.ValueInfoProto) -> tuple[int, ...]:
    """Static shape of a graph's input or output.

    Raises:
        VitbenchError: a dimension is free.
    """
    dims = tensor.type.tensor_type.shape.dim
    if not all(dim.HasField("dim_value") for dim in dims):
        raise VitbenchError(f"'{tensor.name}' of the exported graph has no static shape")
    return tuple(dim.dim_value for dim in dims)
