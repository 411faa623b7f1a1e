"""Head of EfficientViT's dense networks: maps of several stages summed at one size (arXiv 2205.14756).

Submodule names are those of the official checkpoints.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import add
from typing import Literal

from torch import Tensor, nn

from vitbench.catalog.specs import Spec
from vitbench.zoo.blocks import Branch, Chain, ConvLayer, MBConv
from vitbench.zoo.effvit import Style
from vitbench.zoo.hyper import Blocks, Channels
from vitbench.zoo.resample import Resize, Size


class HeadHyper(Spec):
    """Hyper-parameters of a head: `depth` residual blocks of `width` channels that widen `expand` times.

    `block` is an inverted bottleneck (mb) or a fused one (fmb). With `final`, the channels are widened so
    many times before the output.
    """

    width: Channels
    depth: Blocks
    expand: Channels
    block: Literal["mb", "fmb"]
    final: Channels | None = None


class FusionHead(nn.Module):
    """Maps of some stages, each by a 1x1 convolution to `width` channels and resized; their sum; blocks.

    The convolution comes before the resizing, as in the original: the other order is the same function at
    a multiple of the cost.

    Args:
        channels: of every stage of the backbone.
        sizes: (height, width) of every stage's map.
        stages: those that are summed.
        target: (height, width) they are resized to.
        mode: how, `bicubic` or `bilinear`.
        outputs: channels that go out.
        kernel: of the output convolution.
        chained: a map that has the target's size already is named as those that have not.
    """

    def __init__(
        self,
        hyper: HeadHyper,
        style: Style,
        *,
        channels: Sequence[int],
        sizes: Sequence[Size],
        stages: Sequence[int],
        target: Size,
        mode: str,
        outputs: int,
        kernel: int = 1,
        chained: bool = False,
    ) -> None:
        super().__init__()
        self.stages = tuple(stages)
        width, fused = hyper.width, hyper.block == "fmb"
        self.input_ops = nn.ModuleList()
        for stage in stages:
            project = ConvLayer(channels[stage], width, norm_eps=style.norm_eps)
            resized = chained or sizes[stage] != target
            self.input_ops.append(
                Chain([project, Resize(sizes[stage], target, mode)]) if resized else project
            )
        blocks = (
            MBConv(width, width, expand=hyper.expand, fused=fused, **style.layers) for _ in range(hyper.depth)
        )
        self.middle = Chain([Branch(block, residual=True) for block in blocks])
        last: list[nn.Module] = []
        if hyper.final is not None:
            last.append(ConvLayer(width, width * hyper.final, **style.layers))
        last.append(ConvLayer(width * (hyper.final or 1), outputs, kernel, bias=True, norm_eps=None))
        self.output_ops = nn.ModuleList([Chain(last)])

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Map every stage's (N, C_i, H_i, W_i) to (N, outputs, *target)."""
        projected = [layer(maps[stage]) for layer, stage in zip(self.input_ops, self.stages, strict=True)]
        return self.output_ops[0](self.middle(reduce(add, projected)))


def stage_sizes(resolution: Size, stages: int) -> list[Size]:
    """(height, width) of the maps of a backbone whose every stage halves them."""
    height, width = resolution
    return [(height >> index, width >> index) for index in range(1, stages + 1)]
