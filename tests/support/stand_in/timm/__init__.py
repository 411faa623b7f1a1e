"""Stands in for timm in the tests: its four functions that are used, over two small networks."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

__version__ = "0.0-stand-in"


@dataclass(frozen=True)
class Config:
    input_size: tuple[int, int, int]


class Plain(nn.Module):
    """A convolution, a norm and a head: takes every size."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.bn = nn.BatchNorm2d(8)
        self.head = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.bn(self.conv(x)).relu().mean((2, 3)))


class Fixed(Plain):
    """The same with a table of positions, which is made for one size."""

    def __init__(self, img_size: tuple[int, int] = (48, 32)) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.zeros(1, 3, *img_size))

    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[2:] == self.position.shape[2:], f"Input size {tuple(x.shape[2:])} doesn't match model"
        return super().forward(x + self.position)


class Stubborn(Fixed):
    """One that cannot be built for another size."""

    def __init__(self) -> None:
        super().__init__()


NETWORKS = {"plain_tiny": Plain, "fixed_tiny": Fixed, "stubborn_tiny": Stubborn}


def list_models() -> list[str]:
    return list(NETWORKS)


def get_pretrained_cfg(name: str) -> Config | None:
    return None if name == "plain_tiny" else Config((3, 48, 32))


def create_model(name: str, *, pretrained: bool, **options: object) -> nn.Module:
    assert not pretrained
    return NETWORKS[name.partition(".")[0]](**options)  # type: ignore[arg-type]
