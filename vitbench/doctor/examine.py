"""An examination: read a target twice, judge each knob, measure its noise."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitbench.agent import gpu
from vitbench.doctor.gpu_knobs import gpu_knobs
from vitbench.doctor.knobs import KNOBS, Temperature, Throttling
from vitbench.doctor.machine import Busy, Finding, Knob, Library, Machine, Place, Verdict
from vitbench.doctor.noise import Noise, check_noise, write_network

if TYPE_CHECKING:
    from vitbench.catalog import TargetSpec
    from vitbench.runtime import AgentSession, ProcessTime, Runtime, TensorFile
    from vitbench.transport import Transport

PHONES = "adb"
WATCH_S = 1.5
SIM_ITERATIONS = 100
TESTED = ("torch", "onnx", "onnxscript", "onnxruntime", "numpy")
# Packed into the wheel, or beside an editable checkout. In this order: what lies beside an installed package
# belongs to others.
CONSTRAINTS = (
    Path(__file__).parents[1] / "_data" / "constraints.txt",
    Path(__file__).parents[2] / "constraints.txt",
)


@dataclass(frozen=True)
class Diagnosis:
    """What an examination found. `noise` is None where it was not measured; `no_noise` says why, where it was
    asked for."""

    target: str
    simulated: bool
    facts: Mapping[str, Any]
    findings: tuple[Finding, ...]
    noise: Noise | None
    no_noise: str | None = None

    def count(self, verdict: Verdict) -> int:
        """Findings of this verdict."""
        return sum(finding.verdict is verdict for finding in self.findings)


def examine(
    target: TargetSpec,
    *,
    results: str,
    noise: bool = True,
    threads: int | None = None,
    on_stage: Callable[[str], None] = lambda _text: None,
) -> Diagnosis:
    """Examine a target.

    Args:
        target: what to examine.
        results: where records go; its free space is looked at where it is a directory.
        noise: whether to measure the noise as well, about 10 s.
        threads: of a measurement; the target's when None.
        on_stage: told what begins, before it begins.

    Raises:
        UsageError: several phones are connected and none was chosen, or the target makes no sense.
        TargetUnreachable: there is no way to the target.
        ToolError: its agent or its runtime failed.
    """
    from vitbench import runtime, transport

    engine = runtime.for_target(target)
    if target.transport == PHONES:
        from vitbench.doctor.phone import examine_phone

        here = Machine(
            facts={}, before={}, after={}, places=tuple(_places(results)), libraries=libraries(CONSTRAINTS)
        )
        found = examine_phone(target, engine, here=here, threads=threads, on_stage=on_stage)
        return found if noise else replace(found, no_noise=None)
    with transport.open(target) as link, tempfile.TemporaryDirectory(prefix="vitbench-doctor-") as scratch:
        opener = _Opener(link, engine, threads, Path(scratch))
        on_stage(f"watching {target.name} for {WATCH_S:g} s")
        machine = _read(opener, target, threads or target.threads, _places(results))
        measured, why_not = None, _why_no_noise(engine, machine) if noise else None
        if noise and why_not is None:
            on_stage("measuring its noise for about 10 s")
            measured = check_noise(opener.session)
    findings = tuple(knob.judge(machine) for knob in _knobs(machine))
    return Diagnosis(target.name, target.simulated, dict(machine.facts), findings, measured, why_not)


def _knobs(machine: Machine) -> tuple[Knob, ...]:
    """The knobs of a machine, those of its GPU first; what computes is then what gets hot, and slows down."""
    if machine.target is None:
        return KNOBS
    own = gpu_knobs(machine)
    of_processor = (Temperature, Throttling) if len(own) > 1 else ()
    return (*own, *(knob for knob in KNOBS if not isinstance(knob, of_processor)))


def on_gpu(target: TargetSpec) -> bool:
    """Whether a target computes on a GPU."""
    return bool(target.devices) or gpu.used_by(target.runtime, target.options)


def _why_no_noise(engine: Runtime, machine: Machine) -> str | None:
    """Why the noise cannot be measured; None where it can."""
    if machine.runtime_version is None:
        return f"not measured: {engine.name} is not there"
    if machine.target is not None:
        return "not measured: its network is not built for GPUs; two `vitbench run` show how far they differ"
    if engine.artifact_format not in (None, "onnx"):
        return (
            f"not measured: its network is an ONNX graph, and {engine.name} runs {engine.artifact_format}; "
            "`vitbench doctor -t cpu` measures that of this machine"
        )
    return None


class _Opener:
    """Opens agents on one target."""

    def __init__(self, link: Transport, engine: Runtime, threads: int | None, scratch: Path) -> None:
        self.link, self.engine = link, engine
        self._threads, self._scratch = threads, scratch
        self._network: tuple[Path, TensorFile] | None = None

    @contextmanager
    def bare(self, *, watch_gpu: bool) -> Iterator[AgentSession]:
        """An agent to ask for readings. A scripted device has them only once its script is loaded.

        Args:
            watch_gpu: whether it is to look at the GPU as well.
        """
        from vitbench import runtime

        if self.engine.artifact_format is None:
            with self.session(0) as session:
                yield session
        else:
            with runtime.open_agent(self.link) as session:
                if watch_gpu:
                    session.watch_gpu()
                yield session

    @contextmanager
    def session(self, block: int) -> Iterator[AgentSession]:
        """A fresh agent with the network of the noise check loaded."""
        from vitbench import runtime

        model, inputs = None, []
        if self.engine.artifact_format is not None:
            self._network = self._network or write_network(self._scratch)
            model, inputs = self._network[0], [self._network[1]]
        options = self.engine.load_options(threads=self._threads, block=block)
        with runtime.open_session(self.link, self.engine, model, options, inputs) as session:
            assert isinstance(session, runtime.AgentSession)
            yield session


def _read(opener: _Opener, target: TargetSpec, threads: int, places: Sequence[Place]) -> Machine:
    """Read everything twice; in between this process sleeps, and so does the agent."""
    watched = on_gpu(target)
    with opener.bare(watch_gpu=watched) as session:
        installed = opener.engine.found_on(opener.link, session.hello().runtimes)
        facts = session.describe()
        before, first = session.probe(), session.processes()
        if target.simulated:
            session.warm(SIM_ITERATIONS)  # what passes simulated time
        else:
            time.sleep(WATCH_S)
        after, last = session.probe(), session.processes()
    ours = {os.getpid()} if target.transport == "local" else set()
    seconds = float(after.get("uptime_s", 0.0)) - float(before.get("uptime_s", 0.0))
    return Machine(
        facts=facts,
        before=before,
        after=after,
        busy=busiest(first, last, seconds, ours),
        threads=threads,
        runtime=opener.engine.name,
        runtime_version=installed,
        places=tuple(places),
        libraries=libraries(CONSTRAINTS),
        target=target if watched else None,
    )


def busiest(
    first: Sequence[ProcessTime], last: Sequence[ProcessTime], seconds: float, ours: set[int]
) -> tuple[Busy, ...] | None:
    """The processes that used CPU time between two lists of them, the busiest first; None: no time passed.

    A process that began in between counts with all it used.
    """
    if seconds <= 0:
        return None
    began = {process.pid: process.cpu_ns for process in first}
    shares = [
        Busy(process.pid, process.name, (process.cpu_ns - began.get(process.pid, 0)) / 1e9 / seconds)
        for process in last
        if process.pid not in ours
    ]
    return tuple(sorted((share for share in shares if share.cpus > 0), key=lambda share: -share.cpus))


def libraries(constraints: Sequence[Path]) -> tuple[Library, ...]:
    """Versions installed here beside those that were tested, from the first constraints file that is there.

    A build's local part (`+cpu`) does not count.
    """
    from vitbench.records.environment import library_versions

    installed = library_versions()
    path = next((path for path in constraints if path.is_file()), None)
    lines = path.read_text().splitlines() if path else []
    pinned = dict(line.strip().split("==", 1) for line in lines if "==" in line)
    return tuple(Library(name, _public(installed.get(name)), _public(pinned.get(name))) for name in TESTED)


def _public(version: str | None) -> str | None:
    return None if version is None else version.partition("+")[0]


def _places(results: str) -> list[Place]:
    from vitbench.export.cache import default_root
    from vitbench.records.files import LocalFiles
    from vitbench.records.store import Store

    files = Store(results).files
    places = [("artifact cache", default_root()), ("temporary files", Path(tempfile.gettempdir()))]
    if isinstance(files, LocalFiles):
        places.append(("records", files.root))
    return [Place(use, path, free_mb(path)) for use, path in places]


def free_mb(path: Path) -> float | None:
    """Free space for a directory that need not exist yet, in units of 2**20 bytes; None: cannot be read."""
    path = path.absolute()
    while not path.exists() and path != path.parent:
        path = path.parent
    try:
        return shutil.disk_usage(path).free / (1 << 20)
    except OSError:
        return None
