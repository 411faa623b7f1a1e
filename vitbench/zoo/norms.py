"""Norms over the channels of a map."""

from __future__ import annotations

from torch import Tensor

from vitbench.zoo.wide import LayerNorm


class ChannelNorm(LayerNorm):
    """LayerNorm over the channels at every pixel of (N, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
