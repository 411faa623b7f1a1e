"""Build an image that drives a normaliser of a network to exactly zero.

Attention that divides by a sum can divide by zero. Random images rarely get there, so an artifact that lost
its guard passes with them; this image finds it. A network of features has a map of them in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vitbench.zoo.hooks import hooked

# The receptive field of EfficientViT-B's first attention is under 200 pixels, which the first crop holds; a
# larger network may need a larger one. Gradients of more than the last would take much memory.
CROPS = (256, 512, 1024)
STEPS = 200
# The denominator is a sum of hinges: a step to the zero of its tangent, and a bit further, ends in zero.
OVERSHOOT = 1.5
# Zero must stay zero in arithmetic that rounds otherwise: the module's input is disturbed by this share of
# its root mean square, far more than rounding does. Once a crop is safe, its surroundings may disturb less.
DISTURBANCE = 0.01
SURROUND_DISTURBANCE = 0.002
DISTURBED = 2


@dataclass(frozen=True)
class ZeroImage:
    """An image (channels, height, width), the module it aims at, and the smallest normaliser it reaches."""

    image: NDArray[np.float32]
    module: str
    normaliser_min: float


def build_zero_image(
    network: nn.Module, shape: tuple[int, int, int], stride: int, seed: int
) -> ZeroImage | None:
    """Build an image whose smallest denominator in the first dividing module of a network is zero.

    Starting from a standard normal image, gradient descent (Polyak's step for a known minimum) lowers the
    denominator that is smallest to begin with, until it is zero in float32 under small disturbances of the
    module's input as well. Large images are built around crops of their centre, each larger than the one
    before: most end at the first. The same network and seed give the same image.

    Args:
        network: fp32, in eval mode, without gradients of its own.
        shape: (channels, height, width) of the image; the sides are multiples of `stride`.

    Returns:
        None when no module of the network has a method `normaliser`.
    """
    aims = hooked(network, "normaliser")
    if not aims:
        return None
    name, module = aims[0]
    generator = torch.Generator().manual_seed(seed)
    image = torch.randn((1, *shape), generator=generator)
    with _only_as_far_as(network, module) as features:
        disturbance = DISTURBANCE
        for size in CROPS:
            rows, columns = (_middle(side, size, stride) for side in shape[1:])
            crop = (slice(None), slice(None), rows, columns)
            image[crop] = _descend(features, module.normaliser, image[crop], disturbance, generator)
            if image[crop].numel() == image.numel():
                break
            disturbance = SURROUND_DISTURBANCE
        with torch.no_grad():
            smallest = float(module.normaliser(features(image)).min())
    return ZeroImage(image[0].numpy(), name, smallest)


class _ReachedError(Exception):
    """The forward pass has come to the module that is aimed at."""


@contextmanager
def _only_as_far_as(network: nn.Module, module: nn.Module) -> Iterator[Callable[[Tensor], Tensor]]:
    """Yield a function from an image to the input of a module; nothing after the module is computed."""
    seen: list[Tensor] = []

    def stop(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen[:] = inputs
        raise _ReachedError

    def features(image: Tensor) -> Tensor:
        with suppress(_ReachedError):
            network(image)
        return seen[0]

    handle = module.register_forward_pre_hook(stop)
    try:
        yield features
    finally:
        handle.remove()


def _descend(
    features: Callable[[Tensor], Tensor],
    normaliser: Callable[[Tensor], Tensor],
    image: Tensor,
    disturbance: float,
    generator: torch.Generator,
) -> Tensor:
    """Lower the smallest denominator of an image's middle to zero; gives up after `STEPS`."""
    with torch.no_grad():
        start = features(image)
        noise = torch.randn((DISTURBED, *start.shape[1:]), generator=generator)
        noise = torch.cat([noise, -noise]) * disturbance * start.square().mean().sqrt()
        place = _smallest_in_the_middle(normaliser(start), start.shape[-2:])
        if not normaliser(start + noise).flatten(1)[:, place].any():
            return image  # the crop inside is finished: gradients would take memory for nothing
    image = image.clone().requires_grad_()
    for _ in range(STEPS):
        loss = normaliser(features(image) + noise).flatten(1)[:, place].mean()
        if loss.item() == 0:
            break
        (slope,) = torch.autograd.grad(loss, image)
        image.data -= OVERSHOOT * loss.item() / slope.square().sum() * slope
    return image.detach()


def _smallest_in_the_middle(denominators: Tensor, grid: torch.Size) -> int:
    """Flat index of the smallest denominator; away from the border where the last axis is the map's pixels.

    The border of a crop is no border in the image around it.
    """
    flat = denominators.flatten()
    if denominators.shape[-1] == grid.numel():
        middle = torch.zeros(grid, dtype=torch.bool)
        rows, columns = (slice(side * 3 // 8, -(-side * 5 // 8)) for side in grid)
        middle[rows, columns] = True
        outside = ~middle.flatten().expand(denominators.shape).flatten()
        flat = flat.masked_fill(outside, torch.inf)
    return int(flat.argmin())


def _middle(side: int, size: int, stride: int) -> slice:
    """The middle `size` pixels of a side, beginning where the network's grids do."""
    if side <= size:
        return slice(0, side)
    start = (side - size) // 2 // stride * stride
    return slice(start, start + size)
