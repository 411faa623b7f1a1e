"""Square windows of a map."""

from __future__ import annotations

from torch import Tensor


def to_windows(x: Tensor, side: int) -> Tensor:
    """Cut (N, H, W, C) into windows, (N * windows, side * side, C); `side` divides H and W."""
    batch, height, width, channels = x.shape
    x = x.reshape(batch, height // side, side, width // side, side, channels)
    return x.transpose(2, 3).reshape(-1, side * side, channels)


def from_windows(windows: Tensor, side: int, size: tuple[int, int]) -> Tensor:
    """Put windows back into (N, *size, C); the reverse of `to_windows`."""
    height, width = size
    channels = windows.shape[-1]
    x = windows.reshape(-1, height // side, width // side, side, side, channels)
    return x.transpose(2, 3).reshape(-1, height, width, channels)
