"""Branches that train in parallel and run as one convolution: the blocks of MobileOne and FastViT.

Sources: MobileOne, arXiv 2206.04040; FastViT, arXiv 2303.14189. Submodule names are those of the official
checkpoints, before and after merging. Kernels are summed in float64.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from vitbench.zoo.blocks import Activation
from vitbench.zoo.folding import fold_into_previous, gain_and_shift, set_weights
from vitbench.zoo.wide import mean_of_map

Kernel = tuple[Tensor, Tensor]


def identity_kernel(channels: int, groups: int, size: int, like: Tensor) -> Tensor:
    """Weight (channels, channels / groups, size, size) in float64 of the convolution that changes nothing."""
    eye = torch.eye(channels // groups, dtype=torch.float64, device=like.device)
    return F.pad(eye.repeat(groups, 1)[:, :, None, None], [size // 2] * 4)


def summed(kernels: Iterable[Kernel]) -> Kernel:
    """Weight and bias of the sum of convolutions, the smaller kernels at the centre of the largest."""
    terms = list(kernels)
    size = max(weight.shape[-1] for weight, _ in terms)
    weights = [F.pad(weight, [(size - weight.shape[-1]) // 2] * 4) for weight, _ in terms]
    return torch.stack(weights).sum(dim=0), torch.stack([bias for _, bias in terms]).sum(dim=0)


def conv_of(kernel: Kernel, like: nn.Parameter, *, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """Convolution with 'same' padding that has this weight and bias, in the type of `like`."""
    weight, bias = kernel
    cout, per_group, size, _ = weight.shape
    # On the meta device nothing is drawn or allocated; the weights that follow bring their own device.
    conv = nn.Conv2d(
        per_group * groups,
        cout,
        size,
        stride,
        size // 2,
        groups=groups,
        device="meta",
        dtype=like.dtype,
    )
    set_weights(conv, weight, bias)
    return conv


class ConvNorm(nn.Module):
    """Convolution with 'same' padding and without bias, then BatchNorm."""

    def __init__(self, cin: int, cout: int, kernel: int = 1, stride: int = 1, *, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(cin, cout, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn: nn.BatchNorm2d | None = nn.BatchNorm2d(cout)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return x if self.bn is None else self.bn(x)

    def kernel(self) -> Kernel:
        """Weight and bias with the norm in them."""
        gain, shift = gain_and_shift(self.bn)
        return self.conv.weight.double() * gain[:, None, None, None], shift

    def fold_(self) -> None:
        """Let the convolution do the norm, in place."""
        if self.bn is not None:
            fold_into_previous(self.conv, self.bn)
            self.bn = None


class SqueezeExcite(nn.Module):
    """Gate every channel by a function of all channels' means; a sixteenth of them in between."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, channels // 16, 1)
        self.expand = nn.Conv2d(channels // 16, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        means = mean_of_map(x, keepdim=True)
        return x * torch.sigmoid(self.expand(F.relu(self.reduce(means))))


class MobileOneBlock(nn.Module):
    """Sum of parallel branches, then squeeze-and-excitation and an activation where asked for.

    The branches are `branches` convolutions with BatchNorm; one of 1x1 with BatchNorm where their `size` is
    larger and `scale` is true; a bare BatchNorm where the input has the shape of the output. Merged they are
    one convolution with bias, `reparam_conv`.

    Args:
        act: builds the activation; None for none.
        excite: with squeeze-and-excitation.
    """

    def __init__(
        self,
        cin: int,
        cout: int,
        size: int = 1,
        stride: int = 1,
        *,
        groups: int = 1,
        branches: int = 1,
        scale: bool = True,
        excite: bool = False,
        act: Activation = None,
    ) -> None:
        super().__init__()
        self.size, self.stride, self.groups = size, stride, groups
        same = cin == cout and stride == 1
        self.rbr_skip: nn.BatchNorm2d | None = nn.BatchNorm2d(cout) if same else None
        self.rbr_conv: nn.ModuleList | None = nn.ModuleList(
            ConvNorm(cin, cout, size, stride, groups=groups) for _ in range(branches)
        )
        self.rbr_scale: ConvNorm | None = (
            ConvNorm(cin, cout, 1, stride, groups=groups) if scale and size > 1 else None
        )
        self.reparam_conv: nn.Conv2d | None = None
        self.se = SqueezeExcite(cout) if excite else None
        self.act = None if act is None else act()
        # Seeded weights keep the magnitude of the sum, and make up in part for a gate of about 1/2.
        self.share = math.sqrt((2 if excite else 1) / len(self.summands()))

    def summands(self) -> list[nn.Module]:
        """The parallel branches; none once they are merged."""
        branches = [self.rbr_skip, *(self.rbr_conv or ()), self.rbr_scale]
        return [branch for branch in branches if branch is not None]

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, cin, H, W) to (N, cout, ceil(H/stride), ceil(W/stride))."""
        if self.reparam_conv is not None:
            y = self.reparam_conv(x)
        else:
            first, *rest = self.summands()
            y = first(x)
            for branch in rest:
                y = y + branch(x)
        if self.se is not None:
            y = self.se(y)
        return y if self.act is None else self.act(y)

    def kernel(self) -> Kernel:
        """Weight and bias in float64 of the one convolution that all branches are."""
        if self.reparam_conv is not None:
            return self.reparam_conv.weight.double(), self.reparam_conv.bias.double()
        return summed(
            self._skip_kernel(branch) if isinstance(branch, _BatchNorm) else branch.kernel()
            for branch in self.summands()
        )

    def _skip_kernel(self, norm: _BatchNorm) -> Kernel:
        gain, shift = gain_and_shift(norm)
        identity = identity_kernel(len(gain), self.groups, self.size, gain)
        return identity * gain[:, None, None, None], shift

    def merge_(self) -> None:
        """Make one convolution of the branches, in place."""
        if self.reparam_conv is None:
            like = next(self.parameters())
            self.reparam_conv = conv_of(self.kernel(), like, stride=self.stride, groups=self.groups)
            self.rbr_skip = self.rbr_conv = self.rbr_scale = None


class LargeKernelConv(nn.Module):
    """A large and a small convolution in parallel, each with BatchNorm; no activation.

    The original computes an activation and throws it away.
    """

    def __init__(
        self, cin: int, cout: int, kernel: int, stride: int, *, groups: int, small_kernel: int
    ) -> None:
        super().__init__()
        self.stride, self.groups = stride, groups
        self.lkb_origin: ConvNorm | None = ConvNorm(cin, cout, kernel, stride, groups=groups)
        self.small_conv: ConvNorm | None = ConvNorm(cin, cout, small_kernel, stride, groups=groups)
        self.lkb_reparam: nn.Conv2d | None = None
        self.share = math.sqrt(1 / 2)

    def summands(self) -> list[nn.Module]:
        """The parallel branches; none once they are merged."""
        return [branch for branch in (self.lkb_origin, self.small_conv) if branch is not None]

    def forward(self, x: Tensor) -> Tensor:
        if self.lkb_reparam is not None:
            return self.lkb_reparam(x)
        return self.lkb_origin(x) + self.small_conv(x)

    def merge_(self) -> None:
        """Make one convolution of both, in place."""
        if self.lkb_reparam is None:
            kernel = summed(branch.kernel() for branch in self.summands())
            like = next(self.parameters())
            self.lkb_reparam = conv_of(kernel, like, stride=self.stride, groups=self.groups)
            self.lkb_origin = self.small_conv = None


class RepMixer(nn.Module):
    """Depthwise token mixer of FastViT: x + s (mixer(x) - norm(x)) with a layer scale s.

    `mixer` is a depthwise 3x3 MobileOne block without activation, `norm` a bare BatchNorm. All of it is
    linear: merged it is one depthwise 3x3 convolution with bias.
    """

    def __init__(self, channels: int, kernel: int = 3) -> None:
        super().__init__()
        self.norm: MobileOneBlock | None = MobileOneBlock(
            channels, channels, kernel, groups=channels, branches=0, scale=False
        )
        self.mixer: MobileOneBlock | None = MobileOneBlock(channels, channels, kernel, groups=channels)
        self.layer_scale: nn.Parameter | None = nn.Parameter(torch.ones(channels, 1, 1))
        self.reparam_conv: nn.Conv2d | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        if self.reparam_conv is not None:
            return self.reparam_conv(x)
        return x + self.layer_scale * (self.mixer(x) - self.norm(x))

    def merge_(self) -> None:
        """Make one depthwise convolution of the mixer, the norm, the layer scale and the skip, in place."""
        if self.reparam_conv is None:
            scale = self.layer_scale.double()
            (weight, bias), (norm_weight, norm_bias) = self.mixer.kernel(), self.norm.kernel()
            channels, _, size, _ = weight.shape
            weight = scale[:, None] * (weight - norm_weight)
            weight = weight + identity_kernel(channels, channels, size, weight)
            kernel = weight, scale[:, 0, 0] * (bias - norm_bias)
            self.reparam_conv = conv_of(kernel, self.layer_scale, groups=channels)
            self.norm = self.mixer = self.layer_scale = None
