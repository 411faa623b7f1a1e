"""One line on stderr that says what is going on; silent where stderr is not a terminal."""

from __future__ import annotations

import contextlib
from types import TracebackType
from typing import TYPE_CHECKING, Self

from vitbench.text import clean, clean_lines

if TYPE_CHECKING:
    from vitbench.measure import CellProgress


class TerminalProgress:
    """Shows stages and the current estimate. Redrawn only when called, never by a thread of its own."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        self._console = Console(stderr=True)
        # As rich has it, a reader of stderr who leaves ends the program with 1, which is a regression here.
        self._console.on_broken_pipe = self._unread  # type: ignore[method-assign]
        self._text = Text
        self._live = Live(console=self._console, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A terminal that was closed meanwhile: what was found is shown wherever standard output goes.
        with contextlib.suppress(OSError):
            self._live.stop()

    def stage(self, cell: str, text: str) -> None:
        """Say what is being done for a cell now."""
        self._show(f"{cell}: {text}")

    def measuring(self, cell: str, progress: CellProgress) -> None:
        """Show the estimate so far."""
        where = f"block {progress.block + 1}/{progress.blocks}, {progress.phase}"
        if progress.median_ms is not None:
            where += f", {progress.iterations} iterations, {progress.median_ms:.2f} ms"
        if progress.ci_half_width is not None:
            where += f" ± {progress.ci_half_width:.1%}"
        finished = ", ".join(f"{median_ms:.2f}" for median_ms in progress.finished_ms)
        self._show(f"{cell}: {where}" + (f"; finished {finished} ms" if finished else ""))

    def note(self, text: str) -> None:
        """Leave a line that stays; where stderr is full, nothing that is measured is lost for it."""
        with contextlib.suppress(OSError):
            self._console.print(self._text(clean_lines(text)), soft_wrap=True)

    def _show(self, line: str) -> None:
        if self._live.is_started:
            with contextlib.suppress(OSError):
                self._live.update(self._text(clean(line), overflow="ellipsis", no_wrap=True), refresh=True)

    def _unread(self) -> None:
        self._console.quiet = True
