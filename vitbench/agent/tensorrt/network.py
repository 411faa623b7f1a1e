"""An ONNX file as a network of TensorRT's, its types those of the graph."""

from __future__ import annotations

from typing import Any, List, Tuple

from ..errors import AgentError
from . import versions

# Layers that compute nothing, or whose type is their very purpose: a constraint would change what they are.
UNTYPED = ("CAST", "IDENTITY", "CONSTANT", "SHAPE", "QUANTIZE", "DEQUANTIZE")
INTEGERS = {"INT8", "INT32", "INT64", "UINT8", "BOOL"}
PARSERS_OWN = "ONNXTRT_"
MOST_NAMES = 5


def create(trt: Any, builder: Any, numbers: Tuple[int, int]) -> Any:
    """An empty network: with an explicit batch, and strongly typed where there is such a thing."""
    flags = trt.NetworkDefinitionCreationFlag
    bits = 0
    if numbers < versions.ALWAYS_EXPLICIT:
        bits |= 1 << int(flags.EXPLICIT_BATCH)
    # A version without weak typing may have dropped the flag with it.
    if versions.strongly_typed(numbers) and hasattr(flags, "STRONGLY_TYPED"):
        bits |= 1 << int(flags.STRONGLY_TYPED)
    return builder.create_network(bits)


def parse(trt: Any, network: Any, path: str, logger: Any) -> None:
    """Read an ONNX file into a network; weights beside it are found.

    Raises:
        AgentError: the parser refuses it, with every error that it tells.
    """
    parser = trt.OnnxParser(network, logger)
    if parser.parse_from_file(path):
        return
    told = [_tell(parser.get_error(index)) for index in range(parser.num_errors)]
    raise AgentError(
        "runtime", f"TensorRT's parser refuses {path}: {'; '.join(told) or '; '.join(logger.errors)}"
    )


def _tell(error: Any) -> str:
    """One error of the parser; from 10 on it names the node and its operator, before it counts nodes."""
    if not hasattr(error, "node_name"):
        return f"node {error.node()}: {str(error.desc()).strip()}"
    return f"{error.node_name()} ({error.node_operator()}): {str(error.desc()).strip()}"


def hold_islands(trt: Any, network: Any, islands: List[str]) -> int:
    """Keep the layers of some nodes in fp32, where the builder would choose types by itself.

    A node gives its name to its layer. Layers whose type is their purpose are found, and left alone. What the
    parser puts between two of them to make their shapes fit is held as well.

    Returns:
        How many layers are held.

    Raises:
        AgentError: a node has no layer, so that nothing would hold it.
    """
    names = frozenset(islands)
    found = set()
    held = 0
    for index in range(network.num_layers):
        layer = network.get_layer(index)
        dtypes = [layer.get_output(position).dtype.name for position in range(layer.num_outputs)]
        between = layer.name.startswith(PARSERS_OWN) and set(dtypes) == {"FLOAT"}
        if not (names and between) and layer.name not in names:
            continue
        found.add(layer.name)
        if layer.type.name in UNTYPED or set(dtypes) & INTEGERS:
            continue
        layer.precision = trt.float32
        for position in range(layer.num_outputs):
            layer.set_output_type(position, trt.float32)
        held += 1
    if missing := sorted(names - found):
        told = ", ".join(missing[:MOST_NAMES]) + (", ..." if len(missing) > MOST_NAMES else "")
        raise AgentError(
            "runtime",
            f"{len(missing)} of {len(names)} nodes that must stay in fp32 have no layer in TensorRT's "
            f"network, so that nothing would hold them there: {told}",
        )
    return held


def refuse_free_shapes(network: Any) -> None:
    """Refuse a network with free dimensions.

    Raises:
        AgentError: an input has one.
    """
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        if any(side < 0 for side in tensor.shape):
            raise AgentError(
                "usage",
                f"input '{tensor.name}' has a free dimension ({list(tensor.shape)}): "
                "export the model for one shape",
            )
