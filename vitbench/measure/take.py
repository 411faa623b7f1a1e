"""Take one block after the other on a device: open a process, wait until it is cool, measure."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Literal

from vitbench.errors import TargetUnreachable, ToolError, VitbenchError
from vitbench.measure.block import CellProgress, Refresh, Setting, run_block
from vitbench.measure.session import OpenSession, Readings, Session, ToolSession
from vitbench.measure.tool_block import run_tool_block
from vitbench.measure.turns import run_in_turns
from vitbench.measure.witness import highest_clock_mhz, temperature_c
from vitbench.records.schema import Block, Plan

WARMER_C = 3.0
COOLING_LIMIT_S = 120.0
COOLING_STEP_S = 2.0
BACKOFF_S = (1.0, 2.0, 4.0, 8.0, 16.0)
# Two processes that die before anything is finished: the third would die as well.
HOPELESS_CRASHES = 2


class OutOfReach(Exception):
    """The device cannot be reached (any more); `error` says why."""

    def __init__(self, error: TargetUnreachable) -> None:
        super().__init__(error.message)
        self.error = error


class LinkLost(Exception):
    """The link was lost during a block; `error` says how. The block can be taken again."""

    def __init__(self, error: TargetUnreachable) -> None:
        super().__init__(error.message)
        self.error = error


@contextmanager
def _telling_lost_links() -> Iterator[None]:
    """Tell an interruption, after which a block can be taken again, from a device that is gone."""
    try:
        yield
    except TargetUnreachable as error:
        raise (LinkLost if error.transient else OutOfReach)(error) from error


@dataclass
class Taker:
    """Takes the blocks of one device, in turn.

    Attributes:
        plan: how much a block samples.
        threads: threads of the runtime.
        refresh: refreshes the screen; called between requests only.
        sleep: how to wait, in seconds.
        clock_max_mhz: highest clock seen so far.
        first_temp_c: temperature before the first block, which the others wait for.
        finished_ms: medians of the blocks so far that count, for the screen.
        notes: what a reader should know of the way.
        loading_s, waiting_s: time until models were loaded, and time slept.
    """

    plan: Plan
    threads: int
    refresh: Refresh | None
    sleep: Callable[[float], None]
    clock_max_mhz: float | None = None
    first_temp_c: float | None = None
    finished_ms: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    loading_s: float = 0.0
    waiting_s: float = 0.0

    def take(self, open_session: OpenSession, index: int) -> Block:
        """Take the block of this number.

        Raises:
            LinkLost: the link was lost during the block.
            OutOfReach: the device cannot be reached.
            ToolError: the process died.
            OverLimit: it is the first block, and the cell would take too long.
        """
        self._show(index, "opening")
        with _telling_lost_links(), ExitStack() as stack:
            session = self._connect(stack, open_session, index)
            block = self._measure(session, index)
        self._see_clock(block)
        return block

    def take_in_turns(
        self, open_sessions: tuple[OpenSession, OpenSession], index: int
    ) -> tuple[Block, Block]:
        """Take the block of this number and the next one beside each other; see `run_in_turns`.

        Args:
            open_sessions: of the block that begins, and of the other.

        Raises: as `take`.
        """
        self._show(index, "opening")
        with _telling_lost_links(), ExitStack() as stack:
            first = self._interruptible(self._connect(stack, open_sessions[0], index))
            second = self._interruptible(self._connect(stack, open_sessions[1], index + 1))
            self._cool(first, index)
            self._show(index, "warm-up")
            blocks = run_in_turns((first, second), (self._setting(index), self._setting(index + 1)))
        for block in blocks:
            self._see_clock(block)
        return blocks

    @staticmethod
    def _interruptible(session: Session | ToolSession) -> Session:
        if isinstance(session, ToolSession):
            raise TypeError("the series of a tool cannot be timed in turns")
        return session

    def _see_clock(self, block: Block) -> None:
        self.clock_max_mhz = highest_clock_mhz(
            self.clock_max_mhz, block.before.clock_mhz, block.after.clock_mhz
        )

    def _setting(self, index: int) -> Setting:
        return Setting(
            self.plan, index, self.threads, self.clock_max_mhz, self.refresh, tuple(self.finished_ms)
        )

    def finished(self, block: Block) -> None:
        """Tell the screen that a block is finished and kept."""
        if block.invalid is None:
            self.finished_ms.append(block.median_ms)
        self._show(block.index, "done")

    def _connect(self, stack: ExitStack, open_session: OpenSession, index: int) -> Session | ToolSession:
        """Open a session, trying again with growing pauses while the link is down."""
        for pause_s in (*BACKOFF_S, None):
            begin = time.perf_counter()
            try:
                return stack.enter_context(open_session(index))
            except TargetUnreachable as error:
                if pause_s is None or not error.transient:
                    raise OutOfReach(error) from error
            finally:
                self.loading_s += time.perf_counter() - begin
            self._wait(pause_s)
        raise AssertionError("unreachable")

    def _measure(self, session: Session | ToolSession, index: int) -> Block:
        before = self._cool(session, index)
        self._show(index, "warm-up")
        if isinstance(session, ToolSession):
            return run_tool_block(session, before, self._setting(index))
        return run_block(session, before, self._setting(index))

    def _cool(self, session: Session | ToolSession, index: int) -> Readings:
        """Wait until the device is no warmer than at the first block, by 3 C; give up after two minutes.

        A device that says itself that it is hot is waited for as well, before the first block too.
        """
        readings = session.probe()
        if self.first_temp_c is None:
            self.first_temp_c = temperature_c(readings)
        waited_s = 0.0
        while self._is_warm(readings) and waited_s < COOLING_LIMIT_S:
            self._show(index, "cooling")
            self._wait(COOLING_STEP_S)
            waited_s += COOLING_STEP_S
            readings = session.probe()
        if self._is_warm(readings):
            self.notes.append(
                f"block {index} started {self._heat(readings)}: "
                f"it did not cool down in {COOLING_LIMIT_S:.0f} s"
            )
        return readings

    def _heat(self, readings: Readings) -> str:
        if reason := readings.get("hot"):
            return f"while {reason}"
        return f"at {temperature_c(readings):.0f} C, the first at {self.first_temp_c:.0f} C"

    def _is_warm(self, readings: Readings) -> bool:
        if readings.get("hot"):
            return True
        temp_c = temperature_c(readings)
        return temp_c is not None and self.first_temp_c is not None and temp_c > self.first_temp_c + WARMER_C

    def _wait(self, seconds: float) -> None:
        self.sleep(seconds)
        self.waiting_s += seconds

    def _show(self, index: int, phase: Literal["opening", "cooling", "warm-up", "done"]) -> None:
        if self.refresh is not None:
            self.refresh(CellProgress(index, self.plan.blocks, phase, finished_ms=tuple(self.finished_ms)))


def no_sleep(_seconds: float) -> None:
    """Wait for nothing: scripted devices live in simulated time, and some looks decide nothing."""


@dataclass
class Attempts:
    """Attempts at what a plan asks for: blocks, or pairs of them.

    Attributes:
        what: `block` or `pair`, for the notes.
        made: attempts so far.
        finished: those that ended with a measurement, whether or not it counts.
        lost: those that were lost with their link.
        failures: errors on the way, the first one first.
        costly: the last of them that cost a slot or ended the attempts; None where none did.
    """

    taker: Taker
    what: str
    made: int = 0
    finished: int = 0
    lost: int = 0
    crashes: int = 0
    failures: list[VitbenchError] = field(default_factory=list)
    costly: VitbenchError | None = None

    def fill(self, wanted: int, take: Callable[[int], str | None]) -> None:
        """Attempt until so many slots are filled, or the device is out of reach.

        What does not count is replaced, up to 20 % of the slots. A process that dies costs its slot.

        Args:
            wanted: slots.
            take: makes the attempt of this number; says why it does not count, None where it does.

        Raises:
            ToolError, TargetUnreachable: nothing was finished; the first error.
        """
        slots_left, replacements_left = wanted, wanted // 5
        while slots_left:
            failed_before = len(self.failures)
            try:
                void = self._attempt(take)
            except OutOfReach as gone:
                self.failures.append(gone.error)
                self.costly = gone.error
                self.taker.notes.append(f"the device went out of reach: {gone.error.message}")
                break
            if void is not None and replacements_left:
                replacements_left -= 1
            else:
                slots_left -= 1
                self.costly = self.failures[-1] if len(self.failures) > failed_before else self.costly
        if not self.finished:
            raise self.failures[0]

    def _attempt(self, take: Callable[[int], str | None]) -> str | None:
        number = self.made
        self.made += 1
        try:
            void = take(number)
        except LinkLost as lost:
            self.lost += 1
            self.failures.append(lost.error)
            void = f"the link was lost: {lost.error.message}"
            self.taker.notes.append(f"{self.what} {number} does not count: {void}")
            return void
        except ToolError as crash:
            self.crashes += 1
            self.failures.append(crash)
            if not self.finished and self.crashes >= HOPELESS_CRASHES:
                raise self.failures[0] from None
            self.taker.notes.append(f"{self.what} {number} failed: {crash.message}")
            return None
        self.finished += 1
        return void
