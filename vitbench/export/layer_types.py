"""In which types tensorrt-rtx runs the layers of a graph, and whether these are the right ones.

tensorrt-rtx types a network as the graph is typed, as TensorRT does from 10 on with strong typing, and parses
and builds without a GPU. It is another product than TensorRT: what is learned here is said of tensorrt-rtx.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitbench.errors import ToolError, UsageError, VitbenchError

RUNTIME = "tensorrt-rtx"
# Of the GPUs for which it builds: RTX 30. It knows none of Orin (8.7) or of Hopper (9.0).
CAPABILITY = "SM86"
_CONVOLUTIONS = frozenset({"CONVOLUTION", "DECONVOLUTION"})
_SUMS = frozenset({"NORMALIZATION", "REDUCE SUM", "REDUCE AVG"})
_SHOWN = 5


@dataclass(frozen=True)
class Layer:
    """One layer of a parsed network.

    Attributes:
        name: of the graph's node that it came from, or one derived from that.
        kind: `CONVOLUTION`, `MATRIX_MULTIPLY`, `ELEMENTWISE DIV`, `REDUCE SUM` and so on.
        types: of its outputs: `HALF`, `FLOAT`, `INT64` and so on.
        reads, makes: names of the tensors that go in and come out.
    """

    name: str
    kind: str
    types: tuple[str, ...]
    reads: tuple[str, ...]
    makes: tuple[str, ...]


def inspect(model: Path) -> tuple[Layer, ...]:
    """Layers of a graph as tensorrt-rtx parses it, in their order.

    Raises:
        ToolError: the parser refuses the graph, for example one that mixes types without a cast.
        UsageError: tensorrt-rtx is not installed.
    """
    network = _Network(model).network
    return tuple(_describe(network.get_layer(place)) for place in range(network.num_layers))


def build(model: Path, capability: str = CAPABILITY) -> int:
    """Build an engine for a compute capability and let go of it; its size in bytes.

    Raises:
        ToolError: the parser or the builder refuses the graph.
        UsageError: tensorrt-rtx is not installed, or does not know the capability.
    """
    parsed = _Network(model)
    wanted = parsed.trt.ComputeCapability.__members__.get(capability)
    if wanted is None:
        raise UsageError(
            f"tensorrt-rtx knows no compute capability {capability}",
            f"choose one of {', '.join(parsed.trt.ComputeCapability.__members__)}",
        )
    config = parsed.builder.create_builder_config()
    config.num_compute_capabilities = 1
    config.set_compute_capability(wanted, 0)
    engine = parsed.builder.build_serialized_network(parsed.network, config)
    if engine is None:
        raise ToolError(f"tensorrt-rtx builds no engine of {model.name}", tail=parsed.log_tail())
    return int(engine.nbytes)


def count_types(layers: Sequence[Layer]) -> dict[str, dict[str, int]]:
    """How many layers of each kind compute in each floating type; other layers are left out."""
    counts: dict[str, Counter[str]] = {}
    for layer in layers:
        for kind in sorted({"HALF", "FLOAT"}.intersection(layer.types)):
            counts.setdefault(layer.kind, Counter())[kind] += 1
    return {kind: dict(sorted(found.items())) for kind, found in sorted(counts.items())}


def check_types(layers: Sequence[Layer]) -> None:
    """Check that what may leave half's range is in float32, and everything that is heavy is in half.

    In float32: each division by what depends on the input, the products of two activations that dividend and
    divisor come from (linear attention has three), sums, means and norms. In half: convolutions, and products
    with weights unless a division or a sine comes of them. A softmax attention's products may be either.

    Raises:
        VitbenchError: a layer is in another type; the message names the first ones.
    """
    graph = _Graph(layers)
    wide, free = graph.behind_divisions()
    wrong = [
        *(each for each in layers if each.name in wide and _is(each, "HALF")),
        *(each for each in layers if each.kind in _SUMS and _is(each, "HALF")),
        *(each for each in layers if each.kind in _CONVOLUTIONS and _is(each, "FLOAT")),
        *(each for each in layers if graph.is_linear(each) and each.name not in free and _is(each, "FLOAT")),
    ]
    if wrong:
        named = [f"'{each.name}' ({each.kind}) is {each.types[0]}" for each in dict.fromkeys(wrong)]
        more = f" and {len(named) - _SHOWN} more" if len(named) > _SHOWN else ""
        raise VitbenchError(
            f"{len(named)} layers have the wrong type in tensorrt-rtx: {', '.join(named[:_SHOWN])}{more}",
            "cast what sums over pixels to float32 (`vitbench.zoo.wide`), and nothing else",
        )
    if not any(_is(each, "HALF") for each in layers):
        raise VitbenchError("no layer is in half precision", "check a graph that was exported in fp16")


def _is(layer: Layer, kind: str) -> bool:
    return kind in layer.types


class _Graph:
    """Layers and what they come from."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        self._layers = layers
        self._makers = {tensor: layer for layer in layers for tensor in layer.makes}
        self._users: dict[str, list[Layer]] = {}
        self._constant: set[str] = set()
        for layer in layers:
            for tensor in layer.reads:
                self._users.setdefault(tensor, []).append(layer)
            if all(tensor in self._constant for tensor in layer.reads):
                self._constant.update(layer.makes)  # a constant reads nothing

    def is_linear(self, layer: Layer) -> bool:
        """Whether it is a product with weights."""
        return layer.kind == "MATRIX_MULTIPLY" and any(each in self._constant for each in layer.reads)

    def behind_divisions(self) -> tuple[set[str], set[str]]:
        """Names of divisions and of the products they come from; and of linear layers that may be float32."""
        wide: set[str] = set()
        free: set[str] = set()
        for layer in self._layers:
            if layer.kind == "ELEMENTWISE DIV" and layer.reads[1] not in self._constant:
                wide.add(layer.name)
                self._walk(layer, wide, free)
            elif layer.kind in ("UNARY SIN", "UNARY COS"):
                self._walk(layer, set(), free)
        return wide, free

    def _walk(self, start: Layer, products: set[str], linear: set[str]) -> None:
        """Go back from a layer, as far as convolutions and linear layers."""
        waiting, seen = list(start.reads), set()
        while waiting:
            tensor = waiting.pop()
            layer = self._makers.get(tensor)
            if layer is None or tensor in self._constant or layer.name in seen:
                continue
            seen.add(layer.name)
            if self.is_linear(layer):
                linear.add(layer.name)
            elif layer.kind not in _CONVOLUTIONS and layer.kind != "SOFTMAX":
                if layer.kind == "MATRIX_MULTIPLY":
                    products.add(layer.name)
                waiting.extend(layer.reads)


class _Network:
    """A graph that tensorrt-rtx has parsed; the parser holds the weights, so all is kept together."""

    def __init__(self, model: Path) -> None:
        try:
            import tensorrt_rtx_bindings as trt
        except ImportError:
            raise UsageError(
                "tensorrt-rtx is not installed", "pip install -c constraints.txt 'vitbench[rtx]'"
            ) from None
        self.trt: Any = trt
        self._messages: list[str] = []
        self._logger = _logger(trt, self._messages)
        self.builder = trt.Builder(self._logger)
        self.network = self.builder.create_network(0)
        self._parser = trt.OnnxParser(self.network, self._logger)
        if not self._parser.parse_from_file(str(model)):
            errors = [self._parser.get_error(place).desc() for place in range(self._parser.num_errors)]
            lines = [line for error in errors for line in error.splitlines()]
            # The first names the node, the second says what is wrong with it.
            reason = ": ".join(lines[:2]) or "it gives no reason"
            raise ToolError(f"tensorrt-rtx refuses {model.name}: {reason}", tail=self.log_tail())

    def log_tail(self) -> str:
        """The last errors and warnings."""
        return "\n".join(self._messages[-20:])


def _logger(trt: Any, messages: list[str]) -> Any:
    """A logger that keeps errors and warnings instead of printing them."""

    class Kept(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity <= trt.Logger.WARNING:
                messages.append(message)

    return Kept()


def _describe(layer: Any) -> Layer:
    import tensorrt_rtx_bindings as trt

    kind = layer.type.name
    special = {
        "ELEMENTWISE": trt.IElementWiseLayer,
        "REDUCE": trt.IReduceLayer,
        "UNARY": trt.IUnaryLayer,
    }.get(kind)
    if special is not None:  # what the network hands out is of the base class, without its operation
        layer.__class__ = special
        kind = f"{kind} {layer.op.name}"
    inputs = [layer.get_input(place) for place in range(layer.num_inputs)]
    outputs = [layer.get_output(place) for place in range(layer.num_outputs)]
    return Layer(
        name=layer.name,
        kind=kind,
        types=tuple(tensor.dtype.name for tensor in outputs),
        reads=tuple(tensor.name for tensor in inputs if tensor is not None),
        makes=tuple(tensor.name for tensor in outputs),
    )
