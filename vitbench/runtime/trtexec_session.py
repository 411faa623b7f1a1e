"""A device with an engine and the trtexec that times it: one block is one run of it."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from vitbench.benchmark_model.lines import together
from vitbench.errors import ToolError, VitbenchError
from vitbench.runtime.phone import repeated
from vitbench.runtime.session import AgentSession, LayerTime, LoadInfo, Readings
from vitbench.runtime.tensors import TensorFile, TensorSpec, write_tensor
from vitbench.runtime.trtexec_engine import Engine, Gpu, fetch
from vitbench.transport.base import Transport
from vitbench.trtexec.command import Run, check_known, run_command
from vitbench.trtexec.flags import Tool
from vitbench.trtexec.log import parse
from vitbench.trtexec.outputs import read_outputs
from vitbench.trtexec.profile import read_profile
from vitbench.trtexec.refusals import NoResult, Reason
from vitbench.trtexec.result import TimedRun, read_result
from vitbench.trtexec.timing import PAPER, Timing, warmup_ms

SPARE_S = 30.0
# Of runs that are not for their times, or come before those.
SHORT_ITERATIONS, SHORT_WARMUP_MS = 10, 200
OUTPUTS_LIMIT_S = 600.0
# trtexec is no child of the agent: what it uses would count as another program's. And a clock says nothing
# when there is nothing to do any more, unless it is locked.
NOT_OURS = ("own_cpu_ns", "cpu_busy_ns", "peak_rss_bytes")


@dataclass
class Known:
    """What is asked once for all blocks of a cell.

    `text_only`: whether this trtexec leaves no file of times, so that its summary has to do.
    """

    tool: Tool
    gpu: Gpu
    engine: Engine
    expected_ns: int
    text_only: bool


class TrtexecSession:
    """One block's use of a device; a context manager.

    Args:
        known: what does not change between blocks.
        inputs: what is timed, as pairs of a name and a file on the device.
        options: what `Trtexec.load_options` gave.
    """

    def __init__(
        self,
        transport: Transport,
        known: Known,
        inputs: Sequence[TensorFile],
        options: Mapping[str, Any],
    ) -> None:
        self._transport = transport
        self._known = known
        self._inputs = tuple(inputs)
        self._options = options
        self._stack = ExitStack()
        self._agent: AgentSession | None = None
        self._asked = False
        self._command: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def close(self) -> None:
        """End the agent that reads the witnesses. Safe to call twice."""
        self._stack.close()

    def kill(self) -> None:
        """The same; what runs on the device ends with the call that started it."""
        with contextlib.suppress(VitbenchError):
            self._stack.close()

    @property
    def loaded(self) -> LoadInfo:
        """What runs the model. trtexec loads the engine anew in each run."""
        return LoadInfo(
            load_ns=0,
            import_ns=0,
            runtime_version=str(self._known.tool.version),
            device=self._known.gpu.name,
            inputs=tuple(TensorSpec(each.name, each.dtype, each.shape) for each in self._inputs),
            outputs=(),
            simulated=self._known.tool.simulated,
        )

    def describe(self) -> dict[str, Any]:
        """Static facts of the device, as its agent tells them where it has a Python, and of the engine.

        `notes` are what a reader of a figure should know of it.
        """
        known, agent = self._known, self._witness()
        facts: dict[str, Any] = {} if agent is None else agent.describe()
        with contextlib.suppress(ToolError):
            facts |= self._transport.describe()
        facts.setdefault("gpu_name", known.gpu.name)
        build = known.tool.version.build
        facts["trtexec"] = {
            "program": known.tool.program,
            "version": f"{known.tool.version}{'' if build is None else f' b{build}'}",
            "gpu": known.gpu.name,
            "compute_capability": known.gpu.compute_capability,
            "engine": known.engine.made,
            "build_s": known.engine.build_s,
            "layer_types": dict(known.engine.layer_types),
            "timing_cache": known.engine.timing_cache,
            "build_command": shlex.join(known.engine.build_command),
            "run_command": shlex.join(self._run_command(self.timing_of(SHORT_ITERATIONS, SHORT_WARMUP_MS))),
            "samples": not known.text_only,
        }
        if known.engine.note is not None:
            facts["notes"] = [*facts.get("notes", ()), known.engine.note]
        return facts

    def probe(self) -> Readings:
        """Read the witnesses, where the device has a Python for the agent that does."""
        agent = self._witness()
        if agent is None:
            return {}
        readings = {name: value for name, value in agent.probe().items() if name not in NOT_OURS}
        if readings.get("clocks_locked") is not True:
            readings.pop("clock_mhz", None)
        return readings

    def expected_ns(self) -> int:
        """What one request takes, from a short run; taken once for each engine."""
        return self._known.expected_ns

    def series(self, warmup: int, timed: int, limit_s: float) -> TimedRun:
        """One run of trtexec: the warm-up lasts as long as so many requests take, then so many are timed.

        The authors' protocol has its own numbers, whatever is asked for.

        Raises:
            NoResult: it failed, timed something else than was asked for, or told nothing to be trusted.
            TargetUnreachable: the link was lost.
        """
        found = self.timed(self.timing_of(timed, warmup_ms(warmup, self._known.expected_ns)), limit_s)
        if found.source == "text" and not self._known.text_only:
            # Blocks with samples and blocks without cannot stand in one record: their medians differ in kind.
            raise NoResult(Reason.TRUNCATED, "trtexec left no file of times this time", "run it again")
        return found

    def outputs(self, inputs: Sequence[Sequence[TensorFile]], out_dir: Path) -> list[list[TensorFile]]:
        """What the engine that is timed computes on each set of inputs, as float64 files in `out_dir`."""
        return [self._outputs(group, out_dir, number) for number, group in enumerate(inputs)]

    def profile(self, n: int) -> tuple[LayerTime, ...]:
        """Time the layers of the engine over n requests, in a run of trtexec of its own."""
        file = f"{self._transport.scratch()}/profile.json"
        timing = Timing(iterations=n, warmup_ms=SHORT_WARMUP_MS)
        self._passed(self._run(timing, self._inputs, profile=file))
        told = fetch(self._transport, file)
        if told is None:
            raise NoResult(Reason.TRUNCATED, "trtexec passed, but left no times of layers", "run it again")
        kinds = self._known.engine.layers
        return tuple(
            LayerTime(layer.name, kinds.get(layer.name) or "unknown", layer.average_ns * n, n)
            for layer in read_profile(told).layers
        )

    def timing_of(self, iterations: int, warm_ms: int) -> Timing:
        """What is timed, by the target's options; the authors' protocol is what it is."""
        if self._options["protocol"] == "paper":
            return PAPER
        return Timing(
            iterations=iterations,
            warmup_ms=warm_ms,
            cuda_graph=self._options["cuda_graph"],
            spin_wait=self._options["spin_wait"],
        )

    def _run_command(self, timing: Timing, **files: str | None) -> list[str]:
        paper = self._options["protocol"] == "paper"
        run = Run(
            engine=self._known.engine.path,
            timing=timing,
            # The authors gave no inputs: TensorRT fills them with random numbers then.
            inputs=() if paper else self._pushed(self._inputs),
            device=self._options["device"],
            paper=paper,
            times=files.get("times"),
        )
        argv = run_command(self._known.tool, run)
        check_known(self._known.tool, argv)
        return argv

    def timed(self, timing: Timing, limit_s: float) -> TimedRun:
        """One run of trtexec, checked."""
        times = f"{self._transport.scratch()}/times.json"
        done = self._transport.execute(self._run_command(timing, times=times), limit_s + SPARE_S)
        content = None if done.returncode else fetch(self._transport, times)
        return read_result(done, timing, content)

    def _outputs(self, group: Sequence[TensorFile], out_dir: Path, number: int) -> list[TensorFile]:
        file = f"{self._transport.scratch()}/outputs.json"
        self._passed(self._run(Timing(iterations=1, warmup_ms=0), group, outputs=file))
        told = fetch(self._transport, file)
        if told is None:
            raise NoResult(Reason.TRUNCATED, "trtexec passed, but left no file of outputs", "run it again")
        return [
            write_tensor(each.name, each.values, out_dir / f"output-{number}-{place}.bin")
            for place, each in enumerate(read_outputs(told))
        ]

    def _run(self, timing: Timing, inputs: Sequence[TensorFile], **files: str) -> list[str]:
        """A run that is not for its times."""
        run = Run(
            engine=self._known.engine.path,
            timing=timing,
            inputs=self._pushed(inputs),
            outputs=files.get("outputs"),
            profile=files.get("profile"),
            device=self._options["device"],
        )
        argv = run_command(self._known.tool, run)
        check_known(self._known.tool, argv)
        return argv

    def _passed(self, argv: Sequence[str]) -> None:
        """Run trtexec, which may be run again, and see that it passes."""
        done = repeated(lambda: self._transport.execute(argv, OUTPUTS_LIMIT_S))
        parse(together(done.stdout, done.stderr, done.returncode), returncode=done.returncode)

    def _pushed(self, tensors: Sequence[TensorFile]) -> tuple[tuple[str, str], ...]:
        return tuple((each.name, self._transport.push(each.path)) for each in tensors)

    def _witness(self) -> AgentSession | None:
        """An agent that has nothing loaded and sleeps while trtexec works; None where no Python is."""
        if not self._asked:
            self._asked = True
            with contextlib.suppress(ToolError):
                channel = self._transport.start_agent(f"agent on `{self._transport.target.name}`")
                agent = self._stack.enter_context(AgentSession(self._transport, channel))
                agent.watch_gpu(self._options["device"])
                self._agent = agent
        return self._agent
