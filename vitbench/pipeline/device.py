"""One cell's way to its device: artifact, link, processes, and what a record says before its first block."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitbench import __version__, runtime
from vitbench.catalog import Workload
from vitbench.catalog.identity import refuse_other_device
from vitbench.export import Artifact, ArtifactCache, get_artifact, parity
from vitbench.pipeline.progress import Progress
from vitbench.records import environment
from vitbench.records.schema import ArtifactPart, Counts, EnginePart, Header, Parity, TargetPart, WorkloadPart
from vitbench.records.schema import Protocol as ProtocolPart
from vitbench.records.store import new_id
from vitbench.request import Cell, Request
from vitbench.text import count_words

if TYPE_CHECKING:
    from vitbench.export.parity import OutputsSession
    from vitbench.runtime import LoadInfo, Runtime, TensorFile
    from vitbench.runtime.base import AnySession
    from vitbench.transport import Transport

# Long enough for sensors that are slow.
ENERGY_S = 2.0
CHECKING = "checking that the artifact computes what PyTorch computes"

# By target and digest: one artifact may run in another way elsewhere.
KnownParity = dict[tuple[str, str], Parity]


def build_artifact(
    workload: Workload,
    engine: Runtime,
    link: Transport | None,
    cache: ArtifactCache,
    weights_file: Path | None,
    label: str,
    progress: Progress,
    *,
    formulation: Mapping[str, str] | None = None,
) -> Artifact:
    """Take the artifact of a workload from the cache, or build it; says which.

    Args:
        link: to the device it is for; None where there is none at hand.
        formulation: kind of part to formulation; the default ones when None.

    Raises:
        UsageError: the workload cannot be built as asked, or the cache cannot be used.
    """
    made_for = engine.made_for(link)
    artifact = get_artifact(
        workload,
        cache,
        target_runtime=made_for.runtime,
        runtime_version=made_for.version,
        format_name=made_for.format,
        weights_file=weights_file,
        formulation=formulation,
        on_stage=lambda text: progress.stage(label, text),
    )
    progress.note(f"{label}: {artifact.cache} artifact {artifact.digest[:12]}")
    graph = artifact.manifest.graph
    if graph is not None and graph.outside:
        progress.note(
            f"{label}: {engine.name} runs it in {graph.partitions} partitions, slower than in one; "
            f"outside them: {count_words(graph.outside)}"
        )
    return artifact


@dataclass(frozen=True)
class Device:
    """One cell's way to its device; `clocks_mhz` has the highest clock seen so far, by target.

    `affinity`: CPUs that its processes keep to; the target's when None.
    """

    cell: Cell
    request: Request
    link: Transport
    engine: Runtime
    artifact: Artifact | None
    scratch: Path
    clocks_mhz: dict[str, float]
    affinity: tuple[int, ...] | None = None

    def prepare(self, progress: Progress) -> None:
        """Have the device make what it runs in place of the artifact; says what, where that takes long."""
        if self.artifact is None:
            return
        label = self.cell.label
        done = self.engine.prepare(
            self.link,
            self.artifact.model_file,
            anew=self.request.no_cache,
            on_stage=lambda text: progress.stage(label, text),
        )
        if done:
            progress.note(f"{label}: {done}")

    @contextmanager
    def session(self, block: int) -> Iterator[AnySession]:
        """A fresh process with the artifact loaded."""
        with runtime.open_session(
            self.link,
            self.engine,
            self.artifact.model_file if self.artifact else None,
            self.options(block),
            self.inputs(),
        ) as session:
            yield session

    def options(self, block: int) -> dict[str, Any]:
        """What the agent is told at load."""
        return self.engine.load_options(
            threads=self.request.threads,
            affinity=self.affinity,
            block=block,
            model=self.cell.workload.model.name,
        )

    def inputs(self) -> list[TensorFile]:
        """The tensors that are timed: the first images of the parity check."""
        return parity.timed_inputs(self.artifact, self.scratch) if self.artifact else []


def check_parity(device: Device, session: OutputsSession, known: KnownParity) -> Parity | None:
    """Whether the artifact computes on this target what its reference does; None without one."""
    if device.artifact is None:
        return None
    place = device.cell.target.name, device.artifact.digest
    if place not in known:
        found = parity.check(device.artifact, session)
        elsewhere = device.engine.checked_by
        known[place] = found.model_copy(update={"reason": elsewhere}) if elsewhere and found.passed else found
    return known[place]


def make_header(device: Device, progress: Progress, known: KnownParity | None = None) -> Header:
    """Everything the record says before the first block: one agent checks parity and describes the device.

    Args:
        known: parity of artifacts that were checked already; what is checked here is added.

    Raises:
        UsageError: the device is not the one that the target is for.
    """
    cell, request, artifact = device.cell, device.request, device.artifact
    workload, model = cell.workload, cell.workload.model
    device.prepare(progress)
    progress.stage(cell.label, CHECKING)
    refuse_too_many_threads(device.link, device.engine, request.threads)
    with device.session(0) as session:
        loaded, facts = session.loaded, session.describe()
        if not loaded.simulated:
            refuse_other_device(cell.target, facts, loaded.device)
        checked = check_parity(device, session, {} if known is None else known)
        surroundings = environment.fingerprint(facts, session.probe(), device=loaded.device)
        surroundings |= _beside(device.link, session)
    if checked and not checked.passed:
        progress.note(f"{cell.label}: parity failed: {checked.reason}")
    options = device.options(0)
    created = datetime.now(UTC)
    return Header(
        id=new_id(created, model.name, model.resolution, cell.target.name),
        created_utc=created.isoformat(timespec="seconds"),
        vitbench_version=__version__,
        simulated=cell.target.simulated or loaded.simulated,
        workload=WorkloadPart(
            model=model.name,
            family=model.family,
            variant=model.variant,
            task=model.task,
            attention=model.attention,
            form=model.form,
            resolution=model.resolution,
            batch=workload.batch,
            weights=workload.weights,
            upsample=model.upsample,
        ),
        target=TargetPart(
            name=cell.target.name,
            transport=cell.target.transport,
            runtime=device.engine.name,
            runtime_version=loaded.runtime_version,
            device=loaded.device,
        ),
        protocol=ProtocolPart(
            metric=cell.metric,
            batch=workload.batch,
            precision=workload.precision,
            threads=request.threads or cell.target.threads,
            affinity=loaded.affinity or options.get("affinity"),
            builds=1,
            **(_protocol_facts(device.engine, options, cell.metric) | dict(loaded.protocol)),
        ),
        plan=request.plan,
        counts=artifact.manifest.counts if artifact else _count(workload),
        artifact=_artifact_part(artifact, loaded) if artifact else None,
        parity=checked,
        environment=surroundings,
    )


def _artifact_part(artifact: Artifact, loaded: LoadInfo) -> ArtifactPart:
    """What the record says of the artifact, with what the device made of it."""
    part = artifact.record_part()
    if loaded.engine is None:
        return part
    told = {name: loaded.engine[name] for name in EnginePart.model_fields if name in loaded.engine}
    return part.model_copy(update={"engine": EnginePart(**told)})


def _protocol_facts(engine: Runtime, options: Mapping[str, Any], metric: str) -> dict[str, Any]:
    """What running with these options means for comparability, with what is else where requests overlap."""
    facts = dict(engine.protocol_facts(options))
    return facts | dict((engine.stream_facts(options) if metric == "throughput" else None) or {})


def _beside(link: Transport, session: AnySession) -> dict[str, Any]:
    """What the environment has beside facts and state: what is held on the device, and what it takes."""
    found: dict[str, Any] = {"held": dict(link.held)} if link.held else {}
    measured = getattr(session, "energy", None)
    energy = measured(ENERGY_S) if measured else None
    return found | ({"energy": energy} if energy else {})


def refuse_too_many_threads(link: Transport, engine: Runtime, threads: int | None) -> None:
    """Refuse threads that were asked for beyond the CPUs of the device.

    Raises:
        UsageError: more were asked for than the target has CPUs to give.
    """
    if threads is not None and not link.target.simulated:
        engine.refuse_too_many_threads(link, threads)


def _count(workload: Workload) -> Counts:
    from vitbench import counting

    counts = counting.count_model(workload.model, workload.batch)
    return Counts(**{name: getattr(counts, name) for name in Counts.model_fields})
