"""EfficientViT of MIT (arXiv 2205.14756): backbones B and L, and the classifier.

Submodule names are those of the official checkpoints, so the keys of the train form are theirs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from vitbench.catalog.specs import ModelSpec, Spec
from vitbench.errors import UsageError
from vitbench.zoo.attention import KINDS, build_attention
from vitbench.zoo.blocks import (
    Activation,
    Branch,
    Chain,
    ConvLayer,
    DSConv,
    FusedMBConv,
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
        local = MBConv(
            channels, channels, expand=expand, fewer_norm=True, norm_eps=style.norm_eps, act=style.act
        )
        self.context_module = Branch(attention, residual=True)
        self.local_module = Branch(local, residual=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.local_module(self.context_module(x))


class Backbone(nn.Module):
    """Stages of strides 2, 4, 8, ...; `maps` returns every stage's map, `forward` the last."""

    output_names = ("features",)
    checkpoint_prefix = "backbone."

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
    """B design: depthwise stem, inverted bottlenecks in two stages, attention in the last two."""

    def __init__(self, width: list[int], depth: list[int], style: Style) -> None:
        super().__init__()
        eps, act = style.norm_eps, style.act
        stem: list[nn.Module] = [ConvLayer(3, width[0], 3, 2, norm_eps=eps, act=act)]
        for _ in range(depth[0]):
            stem.append(Branch(DSConv(width[0], width[0], norm_eps=eps, act=act), residual=True))
        self.input_stem = Chain(stem)
        self.stages = nn.ModuleList()
        for index in range(1, len(width)):
            cin, cout = width[index - 1], width[index]
            attends = index >= 3
            down = MBConv(cin, cout, 2, expand=EXPAND, fewer_norm=attends, norm_eps=eps, act=act)
            blocks: list[nn.Module] = [Branch(down, residual=False)]
            if attends:
                stride = 2 ** (index + 1)
                blocks += [AttentionBlock(cout, stride, style, expand=EXPAND) for _ in range(depth[index])]
            else:
                for _ in range(depth[index] - 1):
                    block = MBConv(cout, cout, expand=EXPAND, norm_eps=eps, act=act)
                    blocks.append(Branch(block, residual=True))
            self.stages.append(Chain(blocks))

    def steps(self) -> list[nn.Module]:
        return [self.input_stem, *self.stages]


class BackboneL(Backbone):
    """L design: dense convolutions first, attention in the last stage only."""

    def __init__(
        self, width: list[int], depth: list[int], style: Style, plan: tuple[LargeStage, ...] = LARGE
    ) -> None:
        super().__init__()
        self.stages = nn.ModuleList()
        cin = 3
        for index, (stage, cout, count) in enumerate(zip(plan, width, depth, strict=True)):
            first = (
                ConvLayer(cin, cout, 3, 2, norm_eps=style.norm_eps, act=style.act)
                if index == 0
                else Branch(_large_down(stage, cin, cout, style), residual=False)
            )
            rest = (_large_block(stage, cout, 2 ** (index + 1), style) for _ in range(count))
            self.stages.append(Chain([first, *rest]))
            cin = cout

    def steps(self) -> list[nn.Module]:
        return list(self.stages)


def _large_down(stage: LargeStage, cin: int, cout: int, style: Style) -> nn.Module:
    """Stride-2 block that opens a stage; it expands four times as much as the stage's other blocks."""
    kind = FusedMBConv if stage.block == "fmb" else MBConv
    return kind(
        cin,
        cout,
        2,
        expand=4 * stage.expand,
        fewer_norm=stage.fewer_norm,
        norm_eps=style.norm_eps,
        act=style.act,
    )


def _large_block(stage: LargeStage, channels: int, stride: int, style: Style) -> nn.Module:
    """One stride-1 block of a stage, with its residual."""
    if stage.block == "att":
        return AttentionBlock(channels, stride, style, expand=stage.expand, scales=stage.scales)
    if stage.block == "res":
        main: nn.Module = ResBlock(channels, channels, norm_eps=style.norm_eps, act=style.act)
    else:
        kind = FusedMBConv if stage.block == "fmb" else MBConv
        main = kind(
            channels,
            channels,
            expand=stage.expand,
            fewer_norm=stage.fewer_norm,
            norm_eps=style.norm_eps,
            act=style.act,
        )
    return Branch(main, residual=True)


class ClassifierHead(Chain):
    """1x1 convolution, global average, and two linear layers."""

    def __init__(self, cin: int, hidden: tuple[int, int], classes: int, style: Style) -> None:
        eps, act = style.norm_eps, style.act
        super().__init__(
            [
                ConvLayer(cin, hidden[0], norm_eps=eps, act=act),
                GlobalAveragePool(),
                LinearLayer(hidden[0], hidden[1], bias=False, norm_eps=eps, act=act),
                LinearLayer(hidden[1], classes, bias=True),
            ]
        )


class Classifier(nn.Module):
    """Backbone and classification head: (N, 3, H, W) to (N, classes) logits."""

    output_names = ("logits",)

    def __init__(self, backbone: Backbone, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.backbone(x))


DESIGNS = {"b": (BackboneB, hardswish, 1e-5), "l": (BackboneL, tanh_gelu, 1e-7)}
STAGES = 5


class Hyper(Spec):
    """Hyper-parameters of a backbone.

    `width` (channels) and `depth` (blocks) are per stage, the stem first; `dim` is the channels of a head.
    """

    design: Literal["b", "l"]
    width: Annotated[tuple[Channels, ...], Field(min_length=STAGES, max_length=STAGES)]
    depth: Annotated[tuple[Blocks, ...], Field(min_length=STAGES, max_length=STAGES)]
    dim: Channels


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
    if spec.attention is None:
        raise UsageError(
            f"{spec.name} has no attention kind, and the effvit builder needs one",
            f"list at least one under `attention` of the family: {', '.join(KINDS)}",
        )
    backbone_class, act, norm_eps = DESIGNS[hyper.design]
    style = Style(act, norm_eps, spec.attention, hyper.dim)
    backbone = backbone_class(list(hyper.width), list(hyper.depth), style)
    if not isinstance(hyper, ClassifierHyper):
        return backbone
    first, second = hyper.head
    return Classifier(backbone, ClassifierHead(hyper.width[-1], (first, second), hyper.classes, style))
