"""The link to a device, and what is held on the device for as long as it is open."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from vitbench import runtime, transport
from vitbench.agent.gpu import number_of
from vitbench.boards.clocks import held_clocks
from vitbench.catalog import TargetSpec
from vitbench.catalog.identity import device_name, refuse_other_device
from vitbench.errors import ToolError
from vitbench.pipeline.progress import Progress
from vitbench.transport import Transport


@contextmanager
def open_link(target: TargetSpec, progress: Progress) -> Iterator[Transport]:
    """Reach a target, and hold its clocks where it asks for that.

    Raises:
        TargetUnreachable: there is no way to it.
        UsageError: it is another device than the target is for.
    """
    with ExitStack() as stack:
        link = stack.enter_context(transport.open(target))
        if target.devices:
            _refuse_other_device(link)
        if target.lock_clocks and not target.simulated:
            clocks = stack.enter_context(held_clocks(link, progress.note))
            link.held["clocks"] = clocks.held
            if not clocks.held:
                link.held["clocks_refused"] = clocks.answer
                way = f"; `vitbench targets show {target.name}` has what that needs" if target.needs else ""
                progress.note(f"{target.name}: the clocks cannot be held: {clocks.answer}{way}")
        yield link


def _refuse_other_device(link: Transport) -> None:
    """Refuse a device that says at once that it is another, before minutes go into exports and engines.

    One that says nothing, or has no Python to ask by, is judged when something runs on it.
    """
    with suppress(ToolError), runtime.open_agent(link) as agent:
        agent.watch_gpu(number_of(link.target.options))
        facts = agent.describe()
        if device_name(facts, None) is not None:
            refuse_other_device(link.target, facts, None)
