"""What pyramid networks for segmentation share: four stages on shrinking maps, and a head that fuses them.

Everything is on maps (N, C, H, W); submodule names are those of the official checkpoints.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from vitbench.catalog.specs import Spec
from vitbench.zoo.formulation import Formulated
from vitbench.zoo.hyper import Blocks, Channels
from vitbench.zoo.resample import Resize, Size

STAGES = 4
FIRST_STRIDE = 4

PerStage = Field(min_length=STAGES, max_length=STAGES)


class PyramidHyper(Spec):
    """Hyper-parameters of a pyramid: `width` (channels) and `depth` (blocks) per stage, and `classes`."""

    width: Annotated[tuple[Channels, ...], PerStage]
    depth: Annotated[tuple[Blocks, ...], PerStage]
    classes: Channels


class Pointwise(nn.Linear):
    """A linear layer applied to every pixel: (N, cin, H, W) to (N, cout, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight[:, :, None, None], self.bias)


class PointwiseConv(nn.Conv2d):
    """1x1 convolution."""

    def __init__(self, cin: int, cout: int, *, bias: bool = True) -> None:
        super().__init__(cin, cout, 1, bias=bias)


class MixFeedForward(nn.Module):
    """1x1 expansion, depthwise 3x3, GELU (erf), 1x1 projection; all with bias.

    Args:
        layer: class of the 1x1 layers: their weight is (cout, cin) or (cout, cin, 1, 1) by checkpoint.
    """

    def __init__(self, channels: int, mid: int, layer: type[Pointwise] | type[PointwiseConv]) -> None:
        super().__init__()
        self.fc1 = layer(channels, mid)
        self.dwconv = nn.Sequential()
        self.dwconv.add_module("dwconv", nn.Conv2d(mid, mid, 3, padding=1, groups=mid))
        self.act = nn.GELU()
        self.fc2 = layer(mid, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.dwconv(self.fc1(x))))


class Pyramid(nn.Module):
    """Stages of an embedding that shrinks the map, blocks, and a norm; strides 4, 8, 16 and 32."""

    def __init__(
        self,
        embeddings: Sequence[nn.Module],
        blocks: Sequence[Sequence[nn.Module]],
        norms: Sequence[nn.Module],
    ) -> None:
        super().__init__()
        for number, (embedding, stage, norm) in enumerate(zip(embeddings, blocks, norms, strict=True), 1):
            self.add_module(f"patch_embed{number}", embedding)
            self.add_module(f"block{number}", nn.ModuleList(stage))
            self.add_module(f"norm{number}", norm)

    def maps(self, x: Tensor) -> list[Tensor]:
        """Output of each stage, after its norm, which the next stage starts from."""
        maps = []
        for number in range(1, STAGES + 1):
            x = getattr(self, f"patch_embed{number}")(x)
            for block in getattr(self, f"block{number}"):
                x = block(x)
            x = getattr(self, f"norm{number}")(x)
            maps.append(x)
        return maps


def level_sizes(resolution: Size) -> list[Size]:
    """(height, width) of each stage's map; the resolution is a multiple of 32."""
    height, width = resolution
    strides = (FIRST_STRIDE << stage for stage in range(STAGES))
    return [(height // stride, width // stride) for stride in strides]


class LevelFusion(Formulated):
    """Bring maps of several sizes to one, and mix them by a 1x1 convolution without bias.

    Formulations: `concat` resizes, concatenates, and convolves at the large size. `slices` convolves each
    map at its own size by its slice of the weight, resizes, and adds: both steps are linear and one works
    on pixels, the other on channels, so their order does not matter; an upsampled map has 4 or more times
    the pixels of the map it came from.

    Args:
        widths: channels of each map, in the order of the convolution's input.
        sizes: (height, width) of each.
        target: (height, width) that comes out.
    """

    kind = "fusion"
    formulations = ("concat", "slices")
    fast = "slices"

    def __init__(self, widths: Sequence[int], cout: int, sizes: Sequence[Size], target: Size) -> None:
        super().__init__()
        self.widths = tuple(widths)
        self.conv = PointwiseConv(sum(widths), cout, bias=False)
        self.resizes = nn.ModuleList(Resize(size, target, "bilinear") for size in sizes)

    def fuse(self, levels: Sequence[Tensor]) -> Tensor:
        """Map the levels, (N, widths[i], *sizes[i]), to (N, cout, *target)."""
        if self.formulation == "concat":
            resized = [resize(level) for resize, level in zip(self.resizes, levels, strict=True)]
            return self.conv(torch.cat(resized, dim=1))
        parts, start = [], 0
        for resize, level, width in zip(self.resizes, levels, self.widths, strict=True):
            parts.append(resize(F.conv2d(level, self.conv.weight[:, start : start + width])))
            start += width
        fused = sum(parts[1:], parts[0])
        return fused if self.conv.bias is None else fused + self.conv.bias[:, None, None]


class Segmenter(nn.Module):
    """Backbone and head: (N, 3, H, W) to (N, classes, H / s, W / s) logits, s the head's stride."""

    output_names = ("logits",)

    def __init__(self, backbone: Pyramid, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.decode_head = head

    def forward(self, x: Tensor) -> Tensor:
        return self.decode_head(self.backbone.maps(x))
