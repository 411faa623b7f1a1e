"""Count a module by watching the operators it dispatches on the meta device."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from vitbench.catalog.specs import Inputs, InputSpec, as_inputs
from vitbench.counting.errors import UnsupportedOperators
from vitbench.counting.operators import CONSTANTS, MACS, REARRANGED, RESULT_FIRST, TRAFFIC, ZERO


@dataclass(frozen=True)
class LayerCount:
    """One operator call: the module it ran in, its MACs, and the bytes it reads and writes.

    A view computes and moves nothing, and is no layer. `macs_attention` is the part in products of two
    activations.
    """

    name: str
    operator: str
    macs: int
    macs_attention: int
    bytes_read: int
    bytes_written: int


@dataclass(frozen=True)
class ModuleCounts:
    """Sums over the layers. `peak_activation_bytes` is the most that tensors other than parameters held."""

    params: int
    macs: int
    macs_attention: int
    bytes_read: int
    bytes_written: int
    peak_activation_bytes: int
    layers: tuple[LayerCount, ...]


def count_module(module: nn.Module, inputs: Inputs, *, folded: bool = False) -> ModuleCounts:
    """Count one inference of a module.

    No arithmetic is done and no memory taken, wherever the module's parameters are. MACs are those of
    convolution, linear and matmul; a matmul is attention when neither operand is a parameter or buffer, or
    one in another shape or order. Bytes are every tensor that an operator reads or writes, as if there were
    no cache; putting elements in another order moves nothing, and a bias belongs to its product. Scalars and
    64-bit integers (indices, sizes) are part of the operator that takes them.

    Args:
        module: a network.
        inputs: what it takes, in order, with the batch in the shapes; or the shape of its one input.
        folded: what is computed from parameters alone is a parameter too, and not counted: an exporter
            computes it once.

    Raises:
        UnsupportedOperators: the module dispatches an operator without a known cost.
    """
    state = {
        name: tensor.detach().to("meta")
        for tensors in (module.named_parameters(), module.named_buffers())
        for name, tensor in tensors
    }
    dtype = next((tensor.dtype for tensor in state.values() if tensor.is_floating_point()), torch.float32)
    given = tuple(_on_meta(each, dtype) for each in as_inputs(inputs))
    counter = _Counter(state, folded)
    with torch.no_grad(), _scopes(module, counter.enter, counter.leave), counter:
        functional_call(module, state, given)
    if counter.unknown:
        raise UnsupportedOperators(counter.unknown, type(module).__name__)
    layers = tuple(counter.layers)
    return ModuleCounts(
        params=sum(parameter.numel() for parameter in module.parameters()),
        macs=sum(layer.macs for layer in layers),
        macs_attention=sum(layer.macs_attention for layer in layers),
        bytes_read=sum(layer.bytes_read for layer in layers),
        bytes_written=sum(layer.bytes_written for layer in layers),
        peak_activation_bytes=counter.peak_bytes,
        layers=layers,
    )


def _on_meta(tensor: InputSpec, floating: torch.dtype) -> Tensor:
    """An input without memory; a float one is of the type that the network is in."""
    dtype: torch.dtype = getattr(torch, tensor.dtype)
    return torch.empty(tensor.shape, dtype=floating if dtype.is_floating_point else dtype, device="meta")


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records every dispatched operator."""

    def __init__(self, state: Mapping[str, Tensor], folded: bool) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._folded = folded
        self.layers: list[LayerCount] = []
        self.unknown: set[str] = set()
        self.peak_bytes = 0
        self._live_bytes = 0
        self._live: set[int] = set()
        self._parameters = {_storage(tensor) for tensor in state.values()}
        self._derived: set[int] = set()
        self._product: int | None = None
        self._scope: list[str] = []

    def enter(self, name: str) -> None:
        self._scope.append(name)

    def leave(self) -> None:
        self._scope.pop()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        packet = func.overloadpacket
        if packet not in MACS and packet not in ZERO:
            self.unknown.add(str(packet))
            return out
        inputs = _tensors((args, kwargs))
        outputs = _tensors(out)
        for tensor in (*inputs, *outputs):
            self._watch(tensor)
        computed = not _is_view(func, inputs, outputs) and packet not in REARRANGED
        constant = self._is_folded(packet, inputs) if computed else all(map(self._is_constant, inputs))
        if computed and not constant:
            self.layers.append(self._layer(packet, args, inputs, outputs))
        for tensor in outputs:
            self._remember(tensor, constant)
        return out

    def _is_folded(self, packet: Any, inputs: list[Tensor]) -> bool:
        """Whether an exporter computes it once."""
        return self._folded and (packet in CONSTANTS or all(map(self._is_constant, inputs)))

    def _layer(
        self, packet: Any, args: tuple[Any, ...], inputs: list[Tensor], outputs: list[Tensor]
    ) -> LayerCount:
        macs, attention = self._macs(packet, args, outputs)
        if packet in TRAFFIC:
            read, written = TRAFFIC[packet](args, outputs[0])
        elif self._adds_bias(packet, inputs):
            read, written = _bytes(inputs[1]), 0
        else:
            different = {id(tensor): tensor for tensor in inputs}.values()
            results = outputs[:1] if packet in RESULT_FIRST else outputs
            read, written = sum(map(_bytes, different)), sum(map(_bytes, results))
        self._product = _storage(outputs[0]) if hasattr(MACS.get(packet), "operands") else None
        name = self._scope[-1] if self._scope else ""
        return LayerCount(name, str(packet), macs, attention, read, written)

    def _macs(self, packet: Any, args: tuple[Any, ...], outputs: list[Tensor]) -> tuple[int, int]:
        """MACs of the call, and the part that is attention."""
        formula = MACS.get(packet)
        if formula is None:
            return 0, 0
        macs = formula(args, outputs[0])
        operands = getattr(formula, "operands", None)
        if operands is None or any(self._is_constant(args[at]) for at in operands):
            return macs, 0
        return macs, macs

    def _adds_bias(self, packet: Any, inputs: list[Tensor]) -> bool:
        """Whether a vector of parameters is added to the product that was made right before."""
        if packet not in (torch.ops.aten.add, torch.ops.aten.add_) or len(inputs) != 2:
            return False
        product, bias = inputs
        vector = bias.dim() > 0 and bias.numel() == bias.shape[-1]
        return _storage(product) == self._product and vector and self._is_constant(bias)

    def _is_constant(self, tensor: Tensor) -> bool:
        """Whether it is a parameter or buffer, one in another shape or order, or folded of them."""
        return _storage(tensor) in self._parameters or _storage(tensor) in self._derived

    def _remember(self, tensor: Tensor, constant: bool) -> None:
        """A tensor that an activation is written into is no constant any longer."""
        if constant:
            self._derived.add(_storage(tensor))
        else:
            self._derived.discard(_storage(tensor))

    def _watch(self, tensor: Tensor) -> None:
        """Follow the life of a tensor's memory."""
        storage = tensor.untyped_storage()
        key = _storage(tensor)
        if key in self._live or key in self._parameters:
            return
        size = storage.nbytes()
        self._live.add(key)
        self._live_bytes += size
        self.peak_bytes = max(self.peak_bytes, self._live_bytes)
        weakref.finalize(storage, self._release, key, size).atexit = False

    def _release(self, key: int, size: int) -> None:
        self._live.discard(key)
        self._derived.discard(key)
        self._live_bytes -= size


@contextmanager
def _scopes(module: nn.Module, enter: Callable[[str], None], leave: Callable[[], None]) -> Iterator[None]:
    """Tell `enter` and `leave` which submodule runs."""
    handles = []
    for name, part in module.named_modules():
        handles.append(part.register_forward_pre_hook(lambda *_, name=name: enter(name)))
        handles.append(part.register_forward_hook(lambda *_: leave()))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _storage(tensor: Tensor) -> int:
    """Identity of the memory behind a tensor; views share it."""
    return int(tensor.untyped_storage()._cdata)


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def _is_view(func: Any, inputs: list[Tensor], outputs: list[Tensor]) -> bool:
    """True where the outputs are memory of the inputs, and that is not written."""
    if func._schema.is_mutable and torch.Tag.inplace_view not in func.tags:
        return False
    memory = {_storage(tensor) for tensor in inputs}
    return bool(outputs) and all(_storage(tensor) in memory for tensor in outputs)


def _bytes(tensor: Tensor) -> int:
    """Bytes behind a tensor that moves; an expanded one holds less than its shape says."""
    if tensor.dim() == 0 or tensor.dtype == torch.int64:
        return 0
    return min(tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes())
