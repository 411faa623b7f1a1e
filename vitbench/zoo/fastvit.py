"""FastViT of Apple (arXiv 2303.14189): branches that merge, and attention in the last stage of some.

Submodule names are those of the official checkpoints, so the keys are theirs both in the train form and
with branches merged.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from vitbench.catalog.specs import ModelSpec
from vitbench.zoo.attention import Attention, softmax_attend
from vitbench.zoo.blocks import GlobalAveragePool
from vitbench.zoo.folding import fold_into_next
from vitbench.zoo.hyper import read_hyper
from vitbench.zoo.metaformer import Mlp
from vitbench.zoo.pyramid import PerStage, Pointwise, PyramidHyper
from vitbench.zoo.reparam import (
    ConvNorm,
    LargeKernelConv,
    MobileOneBlock,
    RepMixer,
    conv_of,
    identity_kernel,
)

HEAD_DIM = 32


class ConvFFN(Mlp):
    """Depthwise 7x7 with BatchNorm, then two pointwise convolutions with GELU between."""

    def __init__(self, channels: int, expand: int) -> None:
        super().__init__(channels, expand)
        self.conv = ConvNorm(channels, channels, 7, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(self.conv(x))


class RepMixerBlock(nn.Module):
    """RepMixer, then ConvFFN with a layer scale and its residual."""

    def __init__(self, channels: int, expand: int) -> None:
        super().__init__()
        self.token_mixer = RepMixer(channels)
        self.convffn = ConvFFN(channels, expand)
        self.layer_scale = nn.Parameter(torch.ones(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.token_mixer(x)
        return x + self.layer_scale * self.convffn(x)


class SelfAttention(Attention):
    """Softmax attention over all pixels, heads of 32 channels; query, key and value without bias.

    Formulations: `products` writes both products and the softmax, `fused` is the framework's operator.
    """

    kind = "softmax"
    formulations = ("products", "fused")
    fast = "products"

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.heads = channels // HEAD_DIM
        self.qkv = Pointwise(channels, 3 * channels, bias=False)
        self.proj = Pointwise(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        batch, _, height, width = x.shape
        tokens = self.qkv(x).reshape(batch, 3, self.heads, HEAD_DIM, height * width)
        query, key, value = tokens[:, 0], tokens[:, 1], tokens[:, 2]
        out = softmax_attend(query, key, value, fused=self.formulation == "fused")
        return self.proj(out.reshape(x.shape))


class AttentionBlock(nn.Module):
    """BatchNorm and attention, then ConvFFN, each with a layer scale and its residual."""

    def __init__(self, channels: int, expand: int) -> None:
        super().__init__()
        self.norm: nn.BatchNorm2d | None = nn.BatchNorm2d(channels)
        self.token_mixer = SelfAttention(channels)
        self.convffn = ConvFFN(channels, expand)
        self.layer_scale_1 = nn.Parameter(torch.ones(channels, 1, 1))
        self.layer_scale_2 = nn.Parameter(torch.ones(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        normed = x if self.norm is None else self.norm(x)
        x = x + self.layer_scale_1 * self.token_mixer(normed)
        return x + self.layer_scale_2 * self.convffn(x)

    def fold_(self) -> None:
        """Let query, key and value do the norm, in place.

        It cannot go backward: what comes before the norm also feeds the residual.
        """
        if self.norm is not None:
            fold_into_next(self.norm, self.token_mixer.qkv)
            self.norm = None


class PositionConv(nn.Module):
    """Conditional positions (RepCPE): a depthwise 7x7 convolution is added; merged it is one convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pe: nn.Conv2d | None = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.reparam_conv: nn.Conv2d | None = None

    def forward(self, x: Tensor) -> Tensor:
        return self.reparam_conv(x) if self.pe is None else self.pe(x) + x

    def merge_(self) -> None:
        """Put the identity into the convolution, in place."""
        if self.pe is not None:
            weight = self.pe.weight.double()
            channels, _, size, _ = weight.shape
            weight = weight + identity_kernel(channels, channels, size, weight)
            kernel = weight, self.pe.bias.double()
            self.reparam_conv = conv_of(kernel, self.pe.weight, groups=channels)
            self.pe = None


class PatchEmbed(nn.Module):
    """Halve the map: a 7x7 convolution of stride 2 within groups of one input channel, then 1x1."""

    def __init__(self, cin: int, cout: int) -> None:
        super().__init__()
        self.proj = nn.Sequential(
            LargeKernelConv(cin, cout, 7, 2, groups=cin, small_kernel=3),
            MobileOneBlock(cout, cout, act=nn.GELU),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x)


class FastViT(nn.Module):
    """Stem of stride 4, stages of strides 4 to 32, head: (N, 3, H, W) to (N, classes) logits."""

    output_names = ("logits",)

    def __init__(self, hyper: Hyper) -> None:
        super().__init__()
        first, last = hyper.width[0], hyper.width[-1]
        self.patch_embed = nn.Sequential(
            MobileOneBlock(3, first, 3, 2, act=nn.GELU),
            MobileOneBlock(first, first, 3, 2, groups=first, act=nn.GELU),
            MobileOneBlock(first, first, act=nn.GELU),
        )
        self.network = nn.ModuleList(_network(hyper))
        self.conv_exp = MobileOneBlock(last, 2 * last, 3, groups=last, excite=True, act=nn.GELU)
        self.gap = GlobalAveragePool()
        self.head = nn.Linear(2 * last, hyper.classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch_embed(x)
        for part in self.network:
            x = part(x)
        return self.head(self.gap(self.conv_exp(x)))


def _network(hyper: Hyper) -> list[nn.Module]:
    """The stages, with what halves the map between them and positions before a stage with attention."""
    parts: list[nn.Module] = []
    for index, (width, depth, mixer) in enumerate(zip(hyper.width, hyper.depth, hyper.mixers, strict=True)):
        if index > 0:
            parts.append(PatchEmbed(hyper.width[index - 1], width))
        if mixer == "attention":
            parts.append(PositionConv(width))
        block = AttentionBlock if mixer == "attention" else RepMixerBlock
        parts.append(nn.Sequential(*(block(width, hyper.expand) for _ in range(depth))))
    return parts


class Hyper(PyramidHyper):
    """Hyper-parameters of a FastViT: those of a pyramid, and the expansion of the ConvFFN.

    `mixers` is the token mixer of each stage. Every width is a multiple of the one before it, and of 32
    where the stage has attention.
    """

    mixers: Annotated[tuple[Literal["repmixer", "attention"], ...], PerStage]
    expand: Annotated[int, Field(strict=True, gt=0, le=64)]

    @model_validator(mode="after")
    def _widths_divide(self) -> Hyper:
        for before, width in zip(self.width, self.width[1:], strict=False):
            if width % before:
                raise ValueError(f"width {width} is no multiple of the width {before} before it")
        for width, mixer in zip(self.width, self.mixers, strict=True):
            if mixer == "attention" and width % HEAD_DIM:
                raise ValueError(f"width {width} of a stage with attention is no multiple of {HEAD_DIM}")
        return self


def build(spec: ModelSpec) -> nn.Module:
    """Build a FastViT from its spec; `Hyper` says what `spec.hyper` holds.

    Raises:
        UsageError: a hyper-parameter is missing, unknown or out of its range, or the task is not `cls`.
    """
    return FastViT(read_hyper(spec, {"cls": Hyper}))
