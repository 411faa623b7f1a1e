"""Convolutional building blocks of EfficientViT. Submodule names are those of the official checkpoints."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial

from torch import Tensor, nn

from vitbench.zoo.folding import fold_into_previous
from vitbench.zoo.wide import LayerNorm, mean_of_map

Activation = Callable[[], nn.Module] | None


def hardswish() -> nn.Module:
    """Activation of the B networks."""
    return nn.Hardswish()


def tanh_gelu() -> nn.Module:
    """Activation of the L networks: GELU in its tanh approximation."""
    return nn.GELU(approximate="tanh")


class ConvLayer(nn.Module):
    """Convolution with 'same' padding, then BatchNorm and an activation where asked for.

    Args:
        norm_eps: epsilon of the BatchNorm; None for no norm.
        act: builds the activation; None for none.
    """

    def __init__(
        self,
        cin: int,
        cout: int,
        kernel: int = 1,
        stride: int = 1,
        *,
        groups: int = 1,
        bias: bool = False,
        norm_eps: float | None,
        act: Activation = None,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(cin, cout, kernel, stride, kernel // 2, groups=groups, bias=bias)
        self.norm = None if norm_eps is None else nn.BatchNorm2d(cout, eps=norm_eps)
        self.act = None if act is None else act()

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, cin, H, W) to (N, cout, ceil(H/stride), ceil(W/stride))."""
        x = self.conv(x)
        if self.norm is not None:
            x = self.norm(x)
        return x if self.act is None else self.act(x)

    def fold_(self) -> None:
        """Merge the BatchNorm into the convolution, in place."""
        if self.norm is not None:
            fold_into_previous(self.conv, self.norm)
            self.norm = None


class LinearLayer(nn.Module):
    """Linear layer, then LayerNorm and an activation where asked for (arguments as `ConvLayer`)."""

    def __init__(
        self, cin: int, cout: int, *, bias: bool, norm_eps: float | None = None, act: Activation = None
    ) -> None:
        super().__init__()
        self.linear = nn.Linear(cin, cout, bias=bias)
        self.norm = None if norm_eps is None else LayerNorm(cout, eps=norm_eps)
        self.act = None if act is None else act()

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, cin) to (N, cout)."""
        x = self.linear(x)
        if self.norm is not None:
            x = self.norm(x)
        return x if self.act is None else self.act(x)


class GlobalAveragePool(nn.Module):
    """Mean over the pixels: (N, C, H, W) to (N, C)."""

    def forward(self, x: Tensor) -> Tensor:
        return mean_of_map(x)


class DSConv(nn.Sequential):
    """Depthwise 3x3 with activation, then pointwise without."""

    def __init__(self, cin: int, cout: int, *, norm_eps: float, act: Activation) -> None:
        depth_conv = ConvLayer(cin, cin, 3, groups=cin, norm_eps=norm_eps, act=act)
        point_conv = ConvLayer(cin, cout, norm_eps=norm_eps)
        super().__init__(OrderedDict(depth_conv=depth_conv, point_conv=point_conv))


class MBConv(nn.Sequential):
    """Inverted bottleneck: 1x1 expansion, depthwise 3x3, 1x1 projection.

    Args:
        expand: inner channels over `cin`.
        fused: one dense 3x3 convolution in place of the first two.
        fewer_norm: the convolutions before the projection have a bias instead of a norm.
    """

    def __init__(
        self,
        cin: int,
        cout: int,
        stride: int = 1,
        *,
        expand: int,
        fused: bool = False,
        fewer_norm: bool = False,
        norm_eps: float,
        act: Activation,
    ) -> None:
        mid = cin * expand
        inner = partial(ConvLayer, bias=fewer_norm, norm_eps=None if fewer_norm else norm_eps, act=act)
        if fused:
            layers = OrderedDict(spatial_conv=inner(cin, mid, 3, stride))
        else:
            depth_conv = inner(mid, mid, 3, stride, groups=mid)
            layers = OrderedDict(inverted_conv=inner(cin, mid), depth_conv=depth_conv)
        super().__init__(OrderedDict(**layers, point_conv=ConvLayer(mid, cout, norm_eps=norm_eps)))


class ResBlock(nn.Sequential):
    """Two 3x3 convolutions, the first with activation."""

    def __init__(self, cin: int, cout: int, *, norm_eps: float, act: Activation) -> None:
        conv1 = ConvLayer(cin, cin, 3, norm_eps=norm_eps, act=act)
        super().__init__(OrderedDict(conv1=conv1, conv2=ConvLayer(cin, cout, 3, norm_eps=norm_eps)))


class Branch(nn.Module):
    """A block under the name `main`, with the identity added when `residual`."""

    def __init__(self, main: nn.Module, *, residual: bool) -> None:
        super().__init__()
        self.main = main
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        y = self.main(x)
        return x + y if self.residual else y


class Chain(nn.Module):
    """Blocks one after another, under the name `op_list`."""

    def __init__(self, blocks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.op_list = nn.ModuleList(blocks)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.op_list:
            x = block(x)
        return x
