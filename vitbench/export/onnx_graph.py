"""What every exporter's graph goes through: cleaned, written, and compared with what was asked for."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import onnx
import onnx_ir
import onnx_ir.passes.common as passes
from onnxscript import optimizer, rewriter
from onnxscript.rewriter.rules import common as rules

from vitbench.catalog.specs import InputSpec
from vitbench.errors import ToolError, VitbenchError

# A protobuf message ends at 2 GiB; the graph itself needs some of that.
EMBEDDED_LIMIT_BYTES = 1_900_000_000
# Where the dynamo exporter says which modules a node is inside of: their names, outermost first.
SCOPES = "pkg.torch.onnx.name_scopes"
_NO_LIMIT = 1 << 62


def clean(model: onnx_ir.Model, *rewrites: onnx_ir.passes.InPlacePass) -> None:
    """Fold and tidy a graph in place without changing a value; nodes are named after their modules.

    An exporter's own optimisation is not among the steps: dynamo's takes constants under 1e-8 for zero.
    """
    steps = (
        passes.InlinePass(),
        _FoldConstants(),
        *rewrites,
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
        scopes = ast.literal_eval(node.metadata_props.get(SCOPES, "[]"))
        name = f"{scopes[-2] if len(scopes) > 1 else ''}/{node.op_type}"
        seen[name] += 1
        node.name = name if seen[name] == 1 else f"{name}_{seen[name]}"


class _FoldConstants(onnx_ir.passes.InPlacePass):
    """Compute whatever depends on constants only, of any size."""

    def call(self, model: onnx_ir.Model) -> onnx_ir.passes.PassResult:
        result = optimizer.fold_constants(
            model,
            input_size_limit=_NO_LIMIT,
            output_size_limit=_NO_LIMIT,
            onnx_shape_inference=True,
            should_fold=lambda node: node.op_type == "ConstantOfShape" or None,  # kept by default
        )
        return onnx_ir.passes.PassResult(model, result.modified)


def write(model: onnx_ir.Model, path: Path, embedded_limit_bytes: int) -> None:
    """Write a graph; weights of more bytes than the limit go to `<name>.data` beside it."""
    weights = sum(
        value.const_value.nbytes for value in model.graph.initializers.values() if value.const_value
    )
    external = f"{path.name}.data" if weights > embedded_limit_bytes else None
    onnx_ir.save(model, path, external_data=external)


def read_checked(
    path: Path, inputs: tuple[InputSpec, ...], output_names: tuple[str, ...], opset: int
) -> onnx.ModelProto:
    """Read a graph that was written, without weights in a file of their own, and check it.

    Raises:
        ToolError: `onnx.checker` refuses it.
        VitbenchError: opset, names or static shapes are not as asked for.
    """
    try:
        onnx.checker.check_model(str(path), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ToolError("onnx.checker refuses the exported graph", tail=str(error)) from error
    model = onnx.load(path, load_external_data=False)
    _check_signature(model, inputs, output_names, opset)
    return model


def _check_signature(
    model: onnx.ModelProto, inputs: tuple[InputSpec, ...], output_names: tuple[str, ...], opset: int
) -> None:
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    if opsets != {"": opset}:
        raise VitbenchError(f"the exported graph has opsets {opsets}, not {opset} alone")
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
