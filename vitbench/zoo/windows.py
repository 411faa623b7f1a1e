"""Windows of a map: square ones with the channels last, ones of any shape with the channels first."""

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


def to_window_maps(x: Tensor, window: tuple[int, int]) -> Tensor:
    """Cut (N, C, H, W) into windows, (N * windows, C, *window); `window` divides (H, W).

    A window as large as the map is the map.
    """
    batch, channels, height, width = x.shape
    rows, columns = window
    if (height, width) == window:
        return x
    x = x.reshape(batch, channels, height // rows, rows, width // columns, columns)
    return x.permute(0, 2, 4, 1, 3, 5).reshape(-1, channels, rows, columns)


def from_window_maps(windows: Tensor, size: tuple[int, int]) -> Tensor:
    """Put windows back into (N, C, *size); the reverse of `to_window_maps`."""
    channels, rows, columns = windows.shape[1:]
    if (rows, columns) == size:
        return windows
    x = windows.reshape(-1, size[0] // rows, size[1] // columns, channels, rows, columns)
    return x.permute(0, 3, 1, 4, 2, 5).reshape(-1, channels, *size)
