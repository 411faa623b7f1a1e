"""A phone with a model and the tool that runs it: what a session is where no agent can run."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from vitbench import transport as transports
from vitbench.android import power, state
from vitbench.android.clusters import clusters, cores_of
from vitbench.android.state import PhoneState
from vitbench.benchmark_model.binary import Binary
from vitbench.benchmark_model.command import Invocation, command, writes_result_file
from vitbench.benchmark_model.flags import Flags
from vitbench.benchmark_model.result import ToolResult, read_result
from vitbench.catalog.specs import TargetSpec
from vitbench.errors import TargetUnreachable, ToolError, UsageError, VitbenchError
from vitbench.runtime.session import AgentSession, LayerTime, LoadInfo, Readings
from vitbench.runtime.tensors import TensorFile
from vitbench.transport.base import Transport

ASK_TIMEOUT_S = 60.0
HELP_TIMEOUT_S = 60.0
# A short run, before anything is timed, tells how long an iteration takes.
PILOT = (1, 5)
PILOT_LIMIT_S = 300.0
# The tool ends by itself a little before it is given up.
SPARE_S = 10.0
# How often a question is asked again whose answer was lost, and how soon its link must be back for that.
REPEATS = 4
SOON_S = 15.0
_T = TypeVar("_T")


@dataclass(frozen=True)
class Tool:
    """benchmark_model on a phone: where it is, what it is and knows, and whether the phone is a stand-in.

    `expected_ns` is what an iteration takes, by model, from short runs.
    """

    program: str
    binary: Binary
    flags: Flags
    simulated: bool
    expected_ns: dict[str, int] = field(default_factory=dict)


def repeated(step: Callable[[], _T]) -> _T:
    """Take a step that does no harm when it is taken again, where the link breaks on the way and comes back.

    Raises:
        TargetUnreachable: the link does not come back soon, or breaks each time.
    """
    for _ in range(REPEATS):
        begin = time.monotonic()
        try:
            return step()
        except TargetUnreachable as error:
            # The transport waits for a link; one that is still not back after that is not waited for again.
            if not error.transient or time.monotonic() - begin > SOON_S:
                raise
    return step()


def text_of(transport: Transport) -> Callable[[Sequence[str]], str]:
    """What runs a program on a phone that may be run twice, and returns its stdout.

    Raises (what it returns):
        ToolError: the program failed.
        TargetUnreachable: the link was lost.
    """

    def run(argv: Sequence[str]) -> str:
        done = repeated(lambda: transport.execute(argv, ASK_TIMEOUT_S))
        if done.returncode:
            raise ToolError(
                f"`{argv[0]}` failed on the phone with status {done.returncode}", tail=done.stderr
            )
        return done.stdout

    return run


class PhoneSession:
    """One block's use of a phone, in one state while it is open; a context manager.

    Args:
        tool: benchmark_model, on the phone.
        model: the model file on this machine; its directory is pushed.
        found: the phone as it was just now.
        mask: the CPUs to keep to, one bit each.
        options: what `BenchmarkModel.load_options` gave.
    """

    def __init__(
        self,
        transport: Transport,
        tool: Tool,
        model: Path,
        found: PhoneState,
        *,
        mask: int,
        options: Mapping[str, Any],
    ) -> None:
        self._transport = transport
        self._tool = tool
        self._model = model
        self._found = found
        self._mask = mask
        self._options = options
        self._graph = f"{transport.push(model.parent)}/{model.name}"
        self._stack = ExitStack()
        self._fixed: bool | None = None
        self._checker: AgentSession | None = None

    def __enter__(self) -> Self:
        if self._options["fixed_performance"]:
            mode = self._stack.enter_context(power.fixed_performance(text_of(self._transport)))
            self._fixed = mode.active
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def close(self) -> None:
        """Leave the phone as it was. Safe to call twice."""
        self._stack.close()

    def kill(self) -> None:
        """The same; what runs on the phone ends with the call that started it."""
        with contextlib.suppress(VitbenchError):
            self._stack.close()

    @property
    def loaded(self) -> LoadInfo:
        """What runs the model. The phone loads it anew in each run."""
        phone = self._found.phone
        soc = phone.soc
        name = "unknown SoC" if soc is None else f"{soc.name} ({soc.part})" if soc.name else soc.part
        return LoadInfo(
            load_ns=0,
            import_ns=0,
            runtime_version=f"{self._tool.flags.dialect} sha256:{self._tool.binary.sha256[:12]}",
            device=f"{phone.model}, {name}" if phone.model else name,
            inputs=(),
            outputs=(),
            affinity=tuple(core.cpu for core in cores_of(self._found.cores, self._mask)),
            simulated=self._tool.simulated,
        )

    def describe(self) -> dict[str, Any]:
        """Static facts of the phone; those that computers have as well are named as an agent names them."""
        phone, cores = self._found.phone, self._found.cores
        groups = clusters(cores)
        facts = {
            "cpu_model": None if phone.soc is None else phone.soc.part,
            "machine": phone.abis[0] if phone.abis else None,
            "cores": len(cores) or None,
            "os": f"Android {phone.android}" if phone.android else None,
            "phone": phone.model,
            "sdk": phone.sdk,
            "build": phone.fingerprint,
            "clusters": None if groups is None else [list(group) for group in groups],
            "max_mhz": {str(core.cpu): core.max_mhz for core in cores if core.max_mhz is not None} or None,
            "cluster": self._options["cluster"],
            "benchmark_model": {
                "sha256": self._tool.binary.sha256,
                "dialect": self._tool.flags.dialect,
                "abi": self._tool.binary.abi,
            },
            **self._transport.describe(),
        }
        return {name: value for name, value in facts.items() if value is not None}

    def probe(self) -> Readings:
        """Read the witnesses: those of `PhoneState`, `fixed_performance`, and `hot`, the reason to wait."""
        now = state.read(text_of(self._transport))
        readings: Readings = dict(now.readings(self._mask))
        if self._fixed is not None:
            readings["fixed_performance"] = self._fixed
        if reason := hot(readings, self._options["ceiling_c"]):
            readings["hot"] = reason
        return readings

    def expected_ns(self) -> int:
        """What one iteration takes, from a short run; taken once for each model."""
        known = self._tool.expected_ns
        if self._graph not in known:
            warmup, timed = PILOT
            run = repeated(lambda: self.series(warmup, timed, PILOT_LIMIT_S)).run
            # The tool counts whole microseconds: what takes less shows as none.
            known[self._graph] = max(run.median_ns or run.avg_ns or 0, 1000)
        return known[self._graph]

    def series(self, warmup: int, timed: int, limit_s: float) -> ToolResult:
        """One run of the tool, of exactly so many iterations.

        Raises:
            ToolError: it failed, or told nothing to be trusted.
            TargetUnreachable: the link was lost.
        """
        scratch = self._transport.scratch() if writes_result_file(self._tool.flags) else None
        file = None if scratch is None else f"{scratch}/result.pb"
        invocation = Invocation(
            graph=self._graph,
            threads=self._options["threads"],
            num_runs=timed,
            warmup_runs=warmup,
            max_s=max(1.0, limit_s - SPARE_S),
            result_file=file,
            mask=self._mask,
        )
        done = self._transport.execute(
            command(self._tool.program, invocation, self._tool.flags), limit_s + SPARE_S
        )
        content = None if file is None or done.returncode else self._fetch(file)
        return read_result(done, num_runs=timed, result_file=content)

    def outputs(self, inputs: Sequence[Sequence[TensorFile]], out_dir: Path) -> list[list[TensorFile]]:
        """What the model computes, by LiteRT on this machine: the tool gives no outputs."""
        if self._checker is None:
            self._checker = self._stack.enter_context(local_checker(self._model))
        return self._checker.outputs(inputs, out_dir)

    def profile(self, n: int) -> tuple[LayerTime, ...]:
        """Refuse: the tool's own profile slows down what it times."""
        raise UsageError("the benchmark_model runtime cannot tell the time of each layer")

    def _fetch(self, remote: str) -> bytes | None:
        """The tool's result file; None where it wrote none."""
        with tempfile.TemporaryDirectory(prefix="vitbench-") as directory:
            local = Path(directory, "result.pb")
            try:
                self._transport.pull(remote, local)
            except ToolError:
                return None
            return local.read_bytes()


@contextlib.contextmanager
def local_checker(model: Path) -> Iterator[AgentSession]:
    """An agent on this machine with a TFLite model loaded, to check what it computes."""
    here = TargetSpec(name="here", title="this machine", transport="local", runtime="litert")
    with transports.open(here) as link:
        agent = AgentSession(link, link.start_agent("LiteRT agent on this machine"))
        with agent:
            agent.load("litert", model, {"threads": 1, "affinity": None})
            yield agent


def hot(readings: Mapping[str, Any], ceiling_c: float | None) -> str | None:
    """Why a phone is too hot to measure on, in words; None where nothing says so.

    Args:
        readings: of `PhoneSession.probe`.
        ceiling_c: highest temperature of its skin, or else of its battery; None for no ceiling.
    """
    status = readings.get("thermal_status")
    if status:
        return f"its thermal status is {status:.0f}, not 0"
    for name, what in (("skin_c", "skin"), ("battery_c", "battery")):
        if (temperature := readings.get(name)) is not None:
            if ceiling_c is not None and temperature > ceiling_c:
                return f"its {what} is at {temperature:.1f} C, above {ceiling_c:.1f} C"
            return None
    return None
