"""The attention of a block of EfficientViT by itself, on a map of features."""

from __future__ import annotations

from torch import Tensor, nn

from vitbench.catalog.specs import ModelSpec, Spec
from vitbench.errors import UsageError
from vitbench.zoo.attention_kinds import KINDS, build_attention
from vitbench.zoo.hyper import Channels, read_hyper

NORM_EPS = 1e-5


class AttentionAlone(nn.Module):
    """Attention without a residual: (N, channels, H, W) to the same shape."""

    output_names = ("features",)

    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        self.attention = attention

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(x)


class Hyper(Spec):
    """Heads and the channels of each; scales of the multi-scale kinds, stride of the stage it stands in."""

    heads: Channels
    dim: Channels
    scales: tuple[Channels, ...]
    stride: Channels


def build(spec: ModelSpec) -> nn.Module:
    """Build the attention of a spec for its resolution, which is the grid of tokens.

    Raises:
        UsageError: a hyper-parameter is missing, unknown or out of its range, or the attention kind is
            missing, unknown, or cannot divide the grid.
    """
    hyper = read_hyper(spec, {"attention": Hyper})
    if spec.attention is None:
        raise UsageError(f"{spec.name} has no attention kind", f"choose one of {', '.join(KINDS)}")
    attention = build_attention(
        spec.attention,
        hyper.heads * hyper.dim,
        hyper.dim,
        hyper.scales,
        hyper.stride,
        norm_eps=NORM_EPS,
        grid=spec.resolution,
    )
    return AttentionAlone(attention)
