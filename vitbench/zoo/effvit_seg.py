"""EfficientViT of MIT for semantic segmentation (arXiv 2205.14756): (N, 3, H, W) to logits at stride 8.

The resizing of the logits to the labels' size is the evaluation's, not the network's.
"""

from __future__ import annotations

from torch import Tensor, nn

from vitbench.catalog.specs import ModelSpec
from vitbench.zoo.effvit import Headed, Hyper, build_backbone
from vitbench.zoo.fusion import FusionHead, HeadHyper, stage_sizes
from vitbench.zoo.hyper import Channels, read_hyper


class SegHyper(Hyper):
    """Hyper-parameters of a backbone with a segmentation head."""

    head: HeadHyper
    classes: Channels


class Segmenter(Headed):
    """Backbone and head on its last three stages: (N, 3, H, W) to (N, classes, H / 8, W / 8) logits."""

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.backbone.maps(x))


def build(spec: ModelSpec) -> nn.Module:
    """Build a segmentation network from its spec; `SegHyper` says what `spec.hyper` holds.

    Raises:
        UsageError: as `effvit.build`, or another task.
    """
    hyper = read_hyper(spec, {"seg": SegHyper})
    backbone, style = build_backbone(spec, hyper)
    sizes = stage_sizes(spec.resolution, len(hyper.width))
    head = FusionHead(
        hyper.head,
        style,
        channels=hyper.width,
        sizes=sizes,
        stages=(-1, -2, -3),
        target=sizes[-3],
        mode=spec.upsample or "bicubic",
        outputs=hyper.classes,
    )
    return Segmenter(backbone, head)
