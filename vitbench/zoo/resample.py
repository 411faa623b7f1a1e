"""Resizing of maps to a size that is known when the network is built."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from vitbench.zoo.formulation import Formulated

Size = tuple[int, int]


class Resize(Formulated):
    """Resize maps from one fixed size to another, half-pixel centres (`align_corners=False`).

    Formulations: `resize` is the framework's operator; `matmul` multiplies with one constant matrix for
    each axis, which is the same linear function. Runtimes are slow at cubic resizing, and at linear resizing
    are not: there the products lose as soon as the maps are large. A map of another size is scaled by the
    same whole factor, by the operator.

    Args:
        size: (height, width) of the maps that come in.
        target: (height, width) of those that go out; the maps are passed on where it is the same.
        mode: `bicubic` (Keys' kernel with a = -0.75) or `bilinear`; it is the `kind`.
    """

    formulations = ("resize", "matmul")

    def __init__(self, size: Size, target: Size, mode: str) -> None:
        super().__init__()
        self.kind = mode
        self.fast = "matmul" if mode == "bicubic" else "resize"
        self.size, self.target = tuple(size), tuple(target)
        self.register_buffer("rows", resize_matrix(size[0], target[0], mode), persistent=False)
        self.register_buffer(
            "columns", resize_matrix(size[1], target[1], mode).T.contiguous(), persistent=False
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, *size) to (N, C, *target)."""
        given = tuple(x.shape[2:])
        if self.size == self.target:
            return x
        if given == self.size and self.formulation == "matmul":
            return torch.matmul(self.rows, torch.matmul(x, self.columns))
        target = tuple(
            have * want // built for have, want, built in zip(given, self.target, self.size, strict=True)
        )
        return F.interpolate(x, size=target, mode=self.kind, align_corners=False)


def resize_matrix(size: int, target: int, mode: str) -> Tensor:
    """The linear map along one axis, (target, size) in float32: the operator applied to unit vectors."""
    units = torch.eye(size, dtype=torch.float64, device="cpu").reshape(1, size, size, 1)
    resized = F.interpolate(units, size=(target, 1), mode=mode, align_corners=False)
    return resized[0, :, :, 0].T.to(torch.float32).contiguous()
