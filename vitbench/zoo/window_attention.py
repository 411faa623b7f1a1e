"""Softmax attention in windows, on the tokens of EfficientViT."""

from __future__ import annotations

from torch import Tensor

from vitbench.errors import UsageError
from vitbench.zoo.attention import SoftmaxAttention
from vitbench.zoo.windows import from_window_maps, to_window_maps

LARGEST = 8
SMALLEST = 4


class WindowSoftmaxAttention(SoftmaxAttention):
    """Softmax among the tokens of each window: the tokens, heads, scales and parameters of `softmax`.

    Windows do not overlap and are not shifted; `window_of` says how large they are. The multi-scale tokens
    are of the whole map, so that a neighbourhood reaches over the border of its window.

    Raises:
        UsageError: on a map without such windows, when it runs.
    """

    kind = "window-softmax"

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        height, width = x.shape[2:]
        window = window_of((height, width))
        cut = to_window_maps(self.joined(x), window)
        out = self.attend(*self.heads(cut))
        return self.proj(from_window_maps(out.reshape(len(cut), -1, *window), (height, width)))


def window_of(size: tuple[int, int]) -> tuple[int, int]:
    """The window of a map: along each side its largest divisor of at most 8.

    Raises:
        UsageError: a side has no divisor from 4 to 8.
    """
    rows, columns = (_divisor(side) for side in size)
    if min(rows, columns) < SMALLEST:
        raise UsageError(
            f"window-softmax needs windows of {SMALLEST} to {LARGEST} pixels a side, and none of them "
            f"divide a map of {size[0]}x{size[1]}",
            "; ".join(_instead(side) for side in dict.fromkeys(size) if _divisor(side) < SMALLEST),
        )
    return rows, columns


def _divisor(side: int) -> int:
    return max(divisor for divisor in range(1, LARGEST + 1) if side % divisor == 0)


def _instead(side: int) -> str:
    """The nearest sides that can be divided, below and above."""
    fits = [near for near in range(side - LARGEST, side + LARGEST) if near > 0 and _divisor(near) >= SMALLEST]
    nearest = [*[near for near in fits if near < side][-1:], next(near for near in fits if near > side)]
    return f"in place of a side of {side} take {' or '.join(map(str, nearest))}"
