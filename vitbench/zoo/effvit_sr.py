"""Super resolution with EfficientViT's blocks: a design of vitbench.

The paper (arXiv 2205.14756, table 5) has a super-resolution network, but neither its code nor its
configuration is public. This one follows what the paper says of its dense networks (a backbone with
multi-scale linear attention, and a head that sums the stages' maps at one size) and is otherwise our own:

* stages of strides 2, 4, 8 and 16, of the B design, with attention at 8 and 16;
* a head that sums the maps of all stages at stride 2, resized bicubically, and ends in a 3x3 convolution;
* a pixel shuffle from stride 2 to the enlarged image, to which the bicubically enlarged input is added.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from vitbench.catalog.specs import ModelSpec, Spec
from vitbench.zoo.blocks import hardswish
from vitbench.zoo.effvit import Backbone, BackboneB, style_of
from vitbench.zoo.fusion import FusionHead, HeadHyper, stage_sizes
from vitbench.zoo.hyper import Blocks, Channels, read_hyper
from vitbench.zoo.resample import Resize

STAGES = 4
ATTENDS_FROM = 2
NORM_EPS = 1e-5
IMAGE_CHANNELS = 3


class SuperResolutionHyper(Spec):
    """Hyper-parameters: `width` and `depth` per stage, `dim` channels of a head, `scale` of the result."""

    width: Annotated[tuple[Channels, ...], Field(min_length=STAGES, max_length=STAGES)]
    depth: Annotated[tuple[Blocks, ...], Field(min_length=STAGES, max_length=STAGES)]
    dim: Channels
    head: HeadHyper
    scale: Annotated[int, Field(strict=True, ge=2, le=8)]


class SuperResolution(nn.Module):
    """Backbone, head and pixel shuffle, added to the resized input: (N, 3, H, W) to (N, 3, s H, s W)."""

    output_names = ("output",)

    def __init__(self, backbone: Backbone, head: nn.Module, shuffle: nn.Module, enlarge: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.shuffle = shuffle
        self.enlarge = enlarge

    def forward(self, x: Tensor) -> Tensor:
        detail = self.shuffle(self.head(self.backbone.maps(x)))
        return self.enlarge(x) + detail


def build(spec: ModelSpec) -> nn.Module:
    """Build a super-resolution network from its spec; `SuperResolutionHyper` says what `spec.hyper` holds.

    Raises:
        UsageError: as `effvit.build`, or another task.
    """
    hyper = read_hyper(spec, {"sr": SuperResolutionHyper})
    style = style_of(spec, hardswish, NORM_EPS, hyper.dim)
    backbone = BackboneB(list(hyper.width), list(hyper.depth), style, ATTENDS_FROM)
    sizes = stage_sizes(spec.resolution, STAGES)
    shuffle = 2 * hyper.scale  # the head's map is at stride 2
    head = FusionHead(
        hyper.head,
        style,
        channels=hyper.width,
        sizes=sizes,
        stages=range(STAGES),
        target=sizes[0],
        mode="bicubic",
        outputs=IMAGE_CHANNELS * shuffle**2,
        kernel=3,
    )
    height, width = spec.resolution
    enlarge = Resize(spec.resolution, (height * hyper.scale, width * hyper.scale), "bicubic")
    return SuperResolution(backbone, head, nn.PixelShuffle(shuffle), enlarge)
