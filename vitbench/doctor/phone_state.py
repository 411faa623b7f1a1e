"""What a doctor looks at on a phone, and what a knob of a phone answers."""

from __future__ import annotations

import shlex
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from vitbench.android.clusters import Cluster, cpus_of
from vitbench.android.kernel import Kernel
from vitbench.android.power import FixedPerformance
from vitbench.android.state import PhoneState
from vitbench.doctor.machine import Finding, Machine, Voice
from vitbench.errors import UsageError, VitbenchError

if TYPE_CHECKING:
    from vitbench.benchmark_model.place import Place
    from vitbench.runtime.phone import Tool


@dataclass(frozen=True)
class Handset:
    """Everything that was read of a phone, and of this machine as far as its measurements need it.

    Args:
        serial: the phone's serial number, or `host:port`.
        state: the phone at one moment.
        later: its kernel a moment after that, with nothing of ours running in between.
        options: what a measurement is given: `threads`, `cluster`, `ceiling_c`, `fixed_performance`.
        free_mb: free space for pushed files in units of 2**20 bytes; None where the phone does not tell.
        fixed: what came of switching the mode for benchmarks on, or why nobody knows; None where it was not
            tried.
        place: where the tool was found on this machine.
        tool: benchmark_model on the phone, or why it cannot be used.
        checker: version of the interpreter here that checks artifacts, or why there is none.
        here: this machine's places and libraries.
    """

    serial: str
    state: PhoneState
    later: Kernel
    options: Mapping[str, Any]
    free_mb: float | None
    fixed: FixedPerformance | VitbenchError | None
    place: Place | None
    tool: Tool | VitbenchError
    checker: str | VitbenchError
    here: Machine

    @property
    def shell(self) -> str:
        """The beginning of a command that a user runs on this phone."""
        return f"adb -s {shlex.quote(self.serial)} shell"

    @property
    def cluster(self) -> Cluster:
        """The cores that a measurement uses, by name."""
        return cast(Cluster, self.options["cluster"])

    @property
    def threads(self) -> int:
        """Threads of a measurement."""
        return int(self.options["threads"])

    def cpus(self) -> tuple[int, ...] | UsageError:
        """The CPUs that a measurement uses, or why there are none."""
        try:
            return cpus_of(self.state.cores, self.cluster)
        except UsageError as error:
            return error

    def busy_cpus(self) -> float | None:
        """How many CPUs were busy between the readings, none of it ours; None where no time passed."""
        first, last = self.state.kernel, self.later
        if None in (first.uptime_s, last.uptime_s, first.cpu_busy_ns, last.cpu_busy_ns):
            return None
        seconds = (last.uptime_s or 0.0) - (first.uptime_s or 0.0)
        busy_ns = (last.cpu_busy_ns or 0) - (first.cpu_busy_ns or 0)
        return busy_ns / 1e9 / seconds if seconds > 0 else None


class PhoneKnob(Voice, ABC):
    """Something about a phone that spoils measurements, and what can be done about it."""

    @abstractmethod
    def judge(self, phone: Handset) -> Finding:
        """Judge what was read."""

    def refused(self, error: VitbenchError) -> Finding:
        """A measurement would be refused with this error."""
        return self.fail(error.message, error.hint or "see `vitbench run` for more")
