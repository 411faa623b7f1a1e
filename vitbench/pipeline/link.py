"""The link to a device, and what is held on the device for as long as it is open."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from vitbench import transport
from vitbench.boards.clocks import held_clocks
from vitbench.catalog import TargetSpec
from vitbench.pipeline.progress import Progress
from vitbench.transport import Transport


@contextmanager
def open_link(target: TargetSpec, progress: Progress) -> Iterator[Transport]:
    """Reach a target, and hold its clocks where it asks for that.

    Raises:
        TargetUnreachable: there is no way to it.
    """
    with ExitStack() as stack:
        link = stack.enter_context(transport.open(target))
        if target.lock_clocks and not target.simulated:
            clocks = stack.enter_context(held_clocks(link, progress.note))
            link.held["clocks"] = clocks.held
            if not clocks.held:
                link.held["clocks_refused"] = clocks.answer
                progress.note(f"{target.name}: the clocks cannot be held: {clocks.answer}")
        yield link
