"""What goes wrong with a phone, and when."""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

Moment = Literal["push", "pull", "output"]


@dataclass
class Faults:
    """Faults that tests plan; each happens once.

    Args:
        cut: pulls the cable; told whether it stays out.
        free_bytes: how much may still be pushed; None for as much as anybody likes.
        refuse: why no file can be written; empty where one can.
        total: bytes that passed at each moment.
    """

    cut: Callable[[bool], None]
    free_bytes: int | None = None
    refuse: str = ""
    total: Counter[Moment] = field(default_factory=Counter)
    _planned: dict[Moment, tuple[int, bool]] = field(default_factory=dict)

    def cut_after(self, moment: Moment, count: int, *, stay_out: bool = False) -> None:
        """Pull the cable when `count` more bytes of pushed files, pulled files, or output have passed."""
        self._planned[moment] = (count, stay_out)

    def passed(self, moment: Moment, count: int) -> None:
        """Bytes passed; pulls the cable when it is time."""
        self.total[moment] += count
        if moment not in self._planned:
            return
        left, stay_out = self._planned.pop(moment)
        if count >= left:
            self.cut(stay_out)
        else:
            self._planned[moment] = (left - count, stay_out)

    def allowed(self, moment: Moment, count: int) -> int:
        """How many of the next bytes pass before the cable is pulled."""
        return min(count, self._planned[moment][0]) if moment in self._planned else count

    def store(self, count: int) -> None:
        """Bytes are about to be written.

        Raises:
            OSError: there is no space for them.
        """
        if self.free_bytes is None:
            return
        if count > self.free_bytes:
            self.free_bytes = 0
            raise OSError(errno.ENOSPC, "No space left on device")
        self.free_bytes -= count
