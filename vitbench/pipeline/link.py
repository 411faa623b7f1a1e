"""The link to a device, and what is held on the device for as long as it is open."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field

from vitbench import runtime, transport
from vitbench.agent.gpu import number_of
from vitbench.boards.clocks import held_clocks
from vitbench.catalog import TargetSpec
from vitbench.catalog.identity import device_name, refuse_other_device
from vitbench.errors import TargetUnreachable, ToolError
from vitbench.pipeline.progress import Progress
from vitbench.transport import Transport


@dataclass
class Ways:
    """The ways to the targets of one command; one that was never open is not tried again.

    Attributes:
        reached: names of the targets that were reached at least once.
        closed: by name, why the others could not be.
    """

    reached: set[str] = field(default_factory=set)
    closed: dict[str, TargetUnreachable] = field(default_factory=dict)

    @contextmanager
    def open(self, target: TargetSpec) -> Iterator[Transport]:
        """The transport to a target.

        Raises:
            TargetUnreachable: it cannot be reached, or could not be when it was tried first.
        """
        known = self.why_closed([target.name])
        if known is not None:
            raise known
        with ExitStack() as stack:
            try:
                link = stack.enter_context(transport.open(target))
            except TargetUnreachable as error:
                if target.name not in self.reached:
                    self.closed[target.name] = error
                raise
            self.reached.add(target.name)
            yield link

    def why_closed(self, names: Collection[str]) -> TargetUnreachable | None:
        """Why the first of these targets that cannot be reached cannot be; None where none is known to be."""
        return next((self.closed[name] for name in names if name in self.closed), None)

    def left_out(self, error: Exception, later: Sequence[Collection[str]], what: str) -> str | None:
        """How much is left out because of an error, in words; None where it closed no way, or nothing is.

        Args:
            error: what happened just now.
            later: of each thing that is still to be done, the names of its targets.
            what: one such thing is.
        """
        name = next((name for name, why in self.closed.items() if why is error), None)
        others = self.closed.keys() - {name}
        count = sum(name in names and others.isdisjoint(names) for names in later)
        if not count:
            return None
        return f"{count} more {what}{'s' * (count > 1)} of {name} left out, because it could not be reached"


@contextmanager
def open_link(target: TargetSpec, progress: Progress, ways: Ways | None = None) -> Iterator[Transport]:
    """Reach a target, and hold its clocks where it asks for that.

    Args:
        ways: those of the command, where it may come this way again.

    Raises:
        TargetUnreachable: there is no way to it.
        UsageError: it is another device than the target is for.
    """
    with ExitStack() as stack:
        link = stack.enter_context((ways or Ways()).open(target))
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
