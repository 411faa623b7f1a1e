"""Image encoders of EfficientViT-SAM (arXiv 2402.05008): (N, 3, H, W) to SAM's (N, 256, 64, 64) embedding."""

from __future__ import annotations

from torch import Tensor, nn

from vitbench.catalog.specs import ModelSpec
from vitbench.zoo.effvit import Backbone, Hyper, build_backbone
from vitbench.zoo.fusion import FusionHead, HeadHyper, stage_sizes
from vitbench.zoo.hyper import read_hyper
from vitbench.zoo.norms import ChannelNorm

EMBEDDING_SIZE = (64, 64)
NORM_EPS = 1e-6


class SamHyper(Hyper):
    """Hyper-parameters of a backbone with SAM's neck, whose `width` is also that of the embedding."""

    head: HeadHyper


class ImageEncoder(nn.Module):
    """Backbone, neck on its last three stages, and a norm over channels."""

    output_names = ("image_embedding",)
    checkpoint_prefix = "image_encoder."

    def __init__(self, backbone: Backbone, neck: nn.Module, norm: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.neck = neck
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 3, H, W) to (N, C, 64, 64)."""
        return self.norm(self.neck(self.backbone.maps(x)))


def build(spec: ModelSpec) -> nn.Module:
    """Build an image encoder from its spec; `SamHyper` says what `spec.hyper` holds.

    Raises:
        UsageError: as `effvit.build`, or another task.
    """
    hyper = read_hyper(spec, {"sam": SamHyper})
    backbone, style = build_backbone(spec, hyper, norm_eps=NORM_EPS)
    neck = FusionHead(
        hyper.head,
        style,
        channels=hyper.width,
        sizes=stage_sizes(spec.resolution, len(hyper.width)),
        stages=(-1, -2, -3),
        target=EMBEDDING_SIZE,
        mode=spec.upsample or "bicubic",
        outputs=hyper.head.width,
        chained=True,
    )
    return ImageEncoder(backbone, neck, ChannelNorm(hyper.head.width, eps=NORM_EPS))
