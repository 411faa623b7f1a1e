"""EfficientViT of MIT (arXiv 2205.14756): backbones B and L, and the classifier.

Submodule names are those of the official checkpoints, so the keys of the train form are theirs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator
from torch import Tensor, nn

from vitbench.catalog.specs import ModelSpec, Spec
from vitbench.errors import UsageError
from vitbench.zoo.attention_kinds import KINDS, build_attention
from vitbench.zoo.blocks import (
    Activation,
    Branch,
    Chain,
    ConvLayer,
    DSConv,
    GlobalAveragePool,
    LinearLayer,
    MBConv,
    ResBlock,
    hardswish,
    tanh_gelu,
)
from vitbench.zoo.hyper import Blocks, Channels, read_hyper


@dataclass(frozen=True)
class Style:
    """What all blocks of a network share: activation, epsilon of its norms, attention."""

    act: Activation
    norm_eps: float
    attention: str
    dim: int

    @property
    def layers(self) -> dict[str, Any]:
        """What a block of convolutions needs of it."""
        return {"norm_eps": self.norm_eps, "act": self.act}


@dataclass(frozen=True)
class LargeStage:
    """One stage of an L backbone: block type, expansion, biases in place of inner norms, attention scales."""

    block: str
    expand: int
    fewer_norm: bool
    scales: tuple[int, ...] = ()


LARGE = (
    LargeStage("res", 1, False),
    LargeStage("fmb", 4, False),
    LargeStage("fmb", 4, False),
    LargeStage("mb", 4, True),
    LargeStage("att", 6, True, (5,)),
)
EXTRA_LARGE = (
    LargeStage("res", 1, False),
    LargeStage("fmb", 4, False),
    LargeStage("fmb", 4, False),
    LargeStage("fmb", 4, False),
    LargeStage("att", 4, True, (3,)),
    LargeStage("att", 6, True, (3,)),
)
SCALES = (5,)
EXPAND = 4


class AttentionBlock(nn.Module):
    """Attention, then an inverted bottleneck, each with its residual; no norm before either."""

    def __init__(
        self, channels: int, stride: int, style: Style, *, expand: int, scales: tuple[int, ...] = SCALES
    ) -> None:
        super().__init__()
        attention = build_attention(
            style.attention, channels, style.dim, scales, stride, norm_eps=style.norm_eps
        )
        local = MBConv(channels, channels, expand=expand, fewer_norm=True, **style.layers)
        self.context_module = Branch(attention, residual=True)
        self.local_module = Branch(local, residual=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.local_module(self.context_module(x))


class Backbone(nn.Module):
    """Stages of strides 2, 4, 8, ...; `maps` returns every stage's map, `forward` the last."""

    output_names = ("features",)
    checkpoint_prefix = "backbone."
    checkpoint_refuses: ClassVar = {
        "image_encoder.": (
            "the checkpoint is of EfficientViT-SAM, with norms of another epsilon (1e-6)",
            "load it into the encoder: effvit-sam-l0, and the like",
        )
    }

    def steps(self) -> list[nn.Module]:
        """The stages in order, the stem first."""
        raise NotImplementedError

    def maps(self, x: Tensor) -> list[Tensor]:
        """Output of each stage, (N, width[i], H / 2^(i+1), W / 2^(i+1))."""
        maps = []
        for stage in self.steps():
            x = stage(x)
            maps.append(x)
        return maps

    def forward(self, x: Tensor) -> Tensor:
        """Map of the last stage."""
        return self.maps(x)[-1]


class BackboneB(Backbone):
    """B design: depthwise stem, stages of inverted bottlenecks, then stages with attention.

    Args:
        attends_from: the first stage with attention, the stem being stage 0.
    """

    def __init__(self, width: list[int], depth: list[int], style: Style, attends_from: int = 3) -> None:
        super().__init__()
        stem: list[nn.Module] = [ConvLayer(3, width[0], 3, 2, **style.layers)]
        stem += [Branch(DSConv(width[0], width[0], **style.layers), residual=True) for _ in range(depth[0])]
        self.input_stem = Chain(stem)
        self.stages = nn.ModuleList()
        for index in range(1, len(width)):
            cin, cout = width[index - 1], width[index]
            attends = index >= attends_from
            down = MBConv(cin, cout, 2, expand=EXPAND, fewer_norm=attends, **style.layers)
            blocks: list[nn.Module] = [Branch(down, residual=False)]
            if attends:
                stride = 2 ** (index + 1)
                blocks += [AttentionBlock(cout, stride, style, expand=EXPAND) for _ in range(depth[index])]
            else:
                for _ in range(depth[index] - 1):
                    block = MBConv(cout, cout, expand=EXPAND, **style.layers)
                    blocks.append(Branch(block, residual=True))
            self.stages.append(Chain(blocks))

    def steps(self) -> list[nn.Module]:
        return [self.input_stem, *self.stages]


class BackboneL(Backbone):
    """L design: dense convolutions first, attention in the last stages only."""

    def __init__(
        self, width: list[int], depth: list[int], style: Style, plan: tuple[LargeStage, ...]
    ) -> None:
        super().__init__()
        self.stages = nn.ModuleList()
        cin = 3
        for index, (stage, cout, count) in enumerate(zip(plan, width, depth, strict=True)):
            if index == 0:
                first: nn.Module = ConvLayer(cin, cout, 3, 2, **style.layers)
            else:  # expands four times as much as the stage's other blocks
                down = _large_bottleneck(stage, cin, cout, 2, 4 * stage.expand, style)
                first = Branch(down, residual=False)
            rest = (_large_block(stage, cout, 2 ** (index + 1), style) for _ in range(count))
            self.stages.append(Chain([first, *rest]))
            cin = cout

    def steps(self) -> list[nn.Module]:
        return list(self.stages)


def _large_bottleneck(
    stage: LargeStage, cin: int, cout: int, stride: int, expand: int, style: Style
) -> MBConv:
    """Inverted bottleneck of a stage, fused where the stage's are."""
    fused = stage.block == "fmb"
    return MBConv(cin, cout, stride, expand=expand, fused=fused, fewer_norm=stage.fewer_norm, **style.layers)


def _large_block(stage: LargeStage, channels: int, stride: int, style: Style) -> nn.Module:
    """One stride-1 block of a stage, with its residual."""
    if stage.block == "att":
        return AttentionBlock(channels, stride, style, expand=stage.expand, scales=stage.scales)
    if stage.block == "res":
        return Branch(ResBlock(channels, channels, **style.layers), residual=True)
    return Branch(_large_bottleneck(stage, channels, channels, 1, stage.expand, style), residual=True)


class ClassifierHead(Chain):
    """1x1 convolution, global average, and two linear layers."""

    def __init__(self, cin: int, hidden: tuple[int, int], classes: int, style: Style) -> None:
        super().__init__(
            [
                ConvLayer(cin, hidden[0], **style.layers),
                GlobalAveragePool(),
                LinearLayer(hidden[0], hidden[1], bias=False, **style.layers),
                LinearLayer(hidden[1], classes, bias=True),
            ]
        )


class Headed(nn.Module):
    """Base of a backbone with a head that makes logits of its maps."""

    output_names = ("logits",)

    def __init__(self, backbone: Backbone, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head


class Classifier(Headed):
    """Backbone and classification head: (N, 3, H, W) to (N, classes) logits."""

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.backbone(x))


@dataclass(frozen=True)
class Design:
    """What the networks of a design share: number of stages, activation, epsilon of the norms, L stages."""

    stages: int
    act: Activation
    norm_eps: float
    plan: tuple[LargeStage, ...] = ()


DESIGNS = {
    "b": Design(5, hardswish, 1e-5),
    "l": Design(5, tanh_gelu, 1e-7, LARGE),
    "xl": Design(6, tanh_gelu, 1e-7, EXTRA_LARGE),
}


class Hyper(Spec):
    """Hyper-parameters of a backbone.

    `width` (channels) and `depth` (blocks) are per stage, the stem first; `dim` is the channels of a head.
    """

    design: Literal["b", "l", "xl"]
    width: tuple[Channels, ...]
    depth: tuple[Blocks, ...]
    dim: Channels

    @field_validator("width", "depth")
    @classmethod
    def _one_for_each_stage(cls, values: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        design = info.data.get("design")
        if design is not None and len(values) != DESIGNS[design].stages:
            raise ValueError(
                f"design {design} has {DESIGNS[design].stages} stages, and here are {len(values)}"
            )
        return values


class ClassifierHyper(Hyper):
    """Hyper-parameters of a backbone with a classifier, whose two inner widths are `head`."""

    head: Annotated[tuple[Channels, ...], Field(min_length=2, max_length=2)]
    classes: Channels


HYPERS: dict[str, type[Hyper]] = {"backbone": Hyper, "cls": ClassifierHyper}


def build(spec: ModelSpec) -> nn.Module:
    """Build an EfficientViT from its spec; `Hyper` and `ClassifierHyper` say what `spec.hyper` holds.

    Raises:
        UsageError: a hyper-parameter is missing, unknown or out of its range, the attention kind is missing,
            unknown or does not fit the widths, or the task has no head here.
    """
    hyper = read_hyper(spec, HYPERS)
    backbone, style = build_backbone(spec, hyper)
    if not isinstance(hyper, ClassifierHyper):
        return backbone
    first, second = hyper.head
    return Classifier(backbone, ClassifierHead(hyper.width[-1], (first, second), hyper.classes, style))


def build_backbone(spec: ModelSpec, hyper: Hyper, *, norm_eps: float | None = None) -> tuple[Backbone, Style]:
    """The backbone of a spec, and the style of whatever is built on it.

    Args:
        norm_eps: epsilon of all norms where it is not the design's.

    Raises:
        UsageError: the attention kind is missing, unknown or does not fit the widths.
    """
    design = DESIGNS[hyper.design]
    style = style_of(spec, design.act, norm_eps or design.norm_eps, hyper.dim)
    width, depth = list(hyper.width), list(hyper.depth)
    if design.plan:
        return BackboneL(width, depth, style, design.plan), style
    return BackboneB(width, depth, style), style


def style_of(spec: ModelSpec, act: Activation, norm_eps: float, dim: int) -> Style:
    """The style of a spec's network.

    Raises:
        UsageError: the spec has no attention kind.
    """
    if spec.attention is None:
        raise UsageError(
            f"{spec.name} has no attention kind, and the {spec.builder} builder needs one",
            f"list at least one under `attention` of the family: {', '.join(KINDS)}",
        )
    return Style(act, norm_eps, spec.attention, dim)
