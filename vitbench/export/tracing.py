"""Trace a network without computing what takes long.

A trace runs the network once, on a CPU, and half precision is some hundred times slower there than float32:
an hour for the largest networks. What a trace records does not depend on values, so convolutions and matrix
products are recorded as ever and give zeros.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten

PRODUCTS = frozenset(
    {
        F.linear,
        torch.addmm,
        torch.baddbmm,
        torch.bmm,
        torch.matmul,
        torch.mm,
        torch.Tensor.bmm,
        torch.Tensor.matmul,
        torch.Tensor.mm,
    }
)


class WithoutComputing(TorchFunctionMode):
    """While this context is entered, convolutions and matrix products of this thread give zeros."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is torch.conv2d or func is torch.conv_transpose2d:
            with _Zeros():  # type: ignore[no-untyped-call]
                return _convolve(func is torch.conv_transpose2d, *args, **kwargs)
        if func in PRODUCTS:
            with _Zeros():  # type: ignore[no-untyped-call]
                return func(*args, **kwargs)
        return func(*args, **kwargs)


def _convolve(transposed: bool, *args: Any, **kwargs: Any) -> Tensor:
    """The convolution as the operator that a trace records.

    `conv2d` and `convolution` are no such operators: a dispatch mode sees the second of them first, before
    anything was recorded.
    """
    bound = (_TRANSPOSED if transposed else _PLAIN).bind(*args, **kwargs)
    bound.apply_defaults()
    given = bound.arguments
    return torch._convolution(
        given["input"],
        given["weight"],
        given["bias"],
        _pair(given["stride"]),
        _pair(given["padding"]),
        _pair(given["dilation"]),
        transposed,
        _pair(given.get("output_padding", 0)),
        given["groups"],
        False,  # of cuDNN, which has no part in this: benchmark, deterministic, enabled, allow_tf32
        False,
        False,
        False,
    )


def _plain(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> None: ...


def _transposed(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> None: ...


# The functions themselves have no signature that could be read.
_PLAIN, _TRANSPOSED = inspect.signature(_plain), inspect.signature(_transposed)


def _pair(value: Any) -> tuple[int, int]:
    if isinstance(value, str):
        raise RuntimeError(f"padding '{value}' of a convolution cannot be traced; give it as numbers")
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[-1]))


class _Zeros(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Zeros in place of what the operators below would compute."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        shape = _SHAPES.get(func)
        if shape is None:
            return func(*args, **(kwargs or {}))
        return torch.zeros(shape(*args), dtype=args[0].dtype)


def _convolved(
    x: Tensor, weight: Tensor, bias: Any, stride: Any, padding: Any, dilation: Any, transposed: bool,
    extra: Any, groups: int, *cudnn: bool,
) -> tuple[int, ...]:  # fmt: skip
    sides = zip(x.shape[2:], weight.shape[2:], stride, padding, dilation, extra, strict=True)
    if transposed:
        grown = (
            (side - 1) * step - 2 * pad + apart * (size - 1) + more + 1
            for side, size, step, pad, apart, more in sides
        )
        return (x.shape[0], weight.shape[1] * groups, *grown)
    shrunk = (
        (side + 2 * pad - apart * (size - 1) - 1) // step + 1 for side, size, step, pad, apart, _ in sides
    )
    return (x.shape[0], weight.shape[0], *shrunk)


_SHAPES: dict[Any, Callable[..., tuple[int, ...]]] = {
    aten._convolution.default: _convolved,
    aten.mm.default: lambda a, b: (a.shape[0], b.shape[1]),
    aten.bmm.default: lambda a, b: (*a.shape[:2], b.shape[2]),
    aten.addmm.default: lambda added, a, b, **_: (a.shape[0], b.shape[1]),
    aten.baddbmm.default: lambda added, a, b, **_: (*a.shape[:2], b.shape[2]),
}
