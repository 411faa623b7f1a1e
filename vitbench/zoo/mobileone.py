"""MobileOne of Apple (arXiv 2206.04040): depthwise and pointwise layers of parallel branches."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator
from torch import Tensor, nn

from vitbench.catalog.specs import ModelSpec
from vitbench.zoo.blocks import GlobalAveragePool
from vitbench.zoo.hyper import Blocks, Channels, read_hyper
from vitbench.zoo.pyramid import STAGES, PerStage, PyramidHyper
from vitbench.zoo.reparam import MobileOneBlock


def _stage(cin: int, cout: int, depth: int, *, branches: int, excited: int) -> nn.Sequential:
    """`depth` pairs of a depthwise 3x3 and a pointwise layer, the first of stride 2.

    The last `excited` pairs have squeeze-and-excitation in both layers.
    """
    layers = []
    for index in range(depth):
        excite = index >= depth - excited
        stride = 2 if index == 0 else 1
        layers += [
            MobileOneBlock(cin, cin, 3, stride, groups=cin, branches=branches, excite=excite, act=nn.ReLU),
            MobileOneBlock(cin, cout, branches=branches, excite=excite, act=nn.ReLU),
        ]
        cin = cout
    return nn.Sequential(*layers)


class MobileOne(nn.Module):
    """Stem of stride 2, four stages of stride 2, mean, linear: (N, 3, H, W) to (N, classes) logits."""

    output_names = ("logits",)

    def __init__(self, hyper: Hyper) -> None:
        super().__init__()
        self.stage0 = MobileOneBlock(3, hyper.stem, 3, 2, act=nn.ReLU)
        cin = hyper.stem
        for number, (cout, depth, excited) in enumerate(
            zip(hyper.width, hyper.depth, hyper.excited, strict=True), start=1
        ):
            stage = _stage(cin, cout, depth, branches=hyper.branches, excited=excited)
            setattr(self, f"stage{number}", stage)
            cin = cout
        self.gap = GlobalAveragePool()
        self.linear = nn.Linear(cin, hyper.classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stage0(x)
        for number in range(1, STAGES + 1):
            x = getattr(self, f"stage{number}")(x)
        return self.linear(self.gap(x))


class Hyper(PyramidHyper):
    """Hyper-parameters of a MobileOne: those of a pyramid behind a stem of `stem` channels.

    `depth` is pairs of layers; `excited` is how many of these, the last ones of each stage, have
    squeeze-and-excitation; `branches` is the parallel convolutions of a layer.
    """

    stem: Channels
    excited: Annotated[tuple[Blocks, ...], PerStage]
    branches: Annotated[int, Field(strict=True, gt=0, le=64)]

    @model_validator(mode="after")
    def _fits(self) -> Hyper:
        for depth, excited in zip(self.depth, self.excited, strict=True):
            if depth == 0:
                raise ValueError("a stage has no layers, but they halve the map")
            if excited > depth:
                raise ValueError(f"{excited} excited pairs of layers are more than the stage's {depth}")
        return self


def build(spec: ModelSpec) -> nn.Module:
    """Build a MobileOne from its spec; `Hyper` says what `spec.hyper` holds.

    Raises:
        UsageError: a hyper-parameter is missing, unknown or out of its range, or the task is not `cls`.
    """
    return MobileOne(read_hyper(spec, {"cls": Hyper}))
