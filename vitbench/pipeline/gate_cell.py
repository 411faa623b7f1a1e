"""One cell of a gate: both sides on their device, the exact checks, the stages, the verdict."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime

from vitbench.errors import MeasurementInvalid, VitbenchError, of_system
from vitbench.gate import exact, outcome, stages, verdict
from vitbench.gate.exact import Facts
from vitbench.gate.request import GateRequest, PlannedCell
from vitbench.gate.verdict import Judgement
from vitbench.measure import make_plan
from vitbench.pipeline.bench import Bench, Spent
from vitbench.pipeline.device import Device, make_header
from vitbench.pipeline.paired import measure_row
from vitbench.pipeline.reference import find_reference
from vitbench.records.comparison import Comparison
from vitbench.records.gate import Check, GateCell, GateStage
from vitbench.records.schema import Header, Plan
from vitbench.records.store import Store
from vitbench.stats.gate import ALPHA, second_stage
from vitbench.study.rows import PlannedRow

OF_SIDES = (" baseline", " candidate")


@dataclass
class GatedCell:
    """One cell while the gate works on it."""

    planned: PlannedCell
    number: int
    bench: Bench
    samples: Store
    request: GateRequest
    study: str
    seed: int
    devices: list[Device] = field(default_factory=list)
    headers: list[Header] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    stages: list[GateStage] = field(default_factory=list)
    judged: list[Judgement] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    error: VitbenchError | None = None
    first_temp_c: float | None = None
    # Of the whole gate: a waiver that ends at midnight does not end in the middle of a cell.
    today: date = field(default_factory=lambda: datetime.now(UTC).date())

    @property
    def label(self) -> str:
        return self.planned.baseline.label

    def prepare(self) -> None:
        """Both sides on their device, and the exact gates."""
        self._guarded(self._prepare)

    def take(self, stage: int) -> None:
        """Take a stage, where the cell needs it and nothing speaks against it."""
        if self.error is not None or len(self.headers) < 2 or outcome.blocked(self.checks, self._waived()):
            return
        if stage == 2 and not (len(self.judged) == 1 and verdict.needs_second(self.judged[0])):
            return
        self._guarded(lambda: self._take(stage))

    def _waived(self) -> set[str]:
        return outcome.waived_gates(self.planned.waivers, self.today)

    def _guarded(self, work: Callable[[], None]) -> None:
        """Do what may fail; a failure is this cell's alone."""
        try:
            work()
        except VitbenchError as error:
            self.error = error
        except OSError as error:
            self.error = of_system(error)
        if self.error is not None:
            self.bench.progress.note(f"{self.label}: {self.error.explain()}")

    def _prepare(self) -> None:
        cell = self.planned.cell
        if cell is None or self.planned.request is None:
            raise self.planned.problem or MeasurementInvalid(f"{self.label} has no candidate")
        asked, bench = self.planned.request, self.bench
        bench.spent = Spent()
        bench.request = replace(bench.request, threads=asked.threads, weights_file=asked.weights_file)
        plan = self._plan(1, self.planned.limits.pairs)
        side_plan = plan.model_copy(update={"blocks": self.planned.limits.pairs})
        candidate = bench.device(cell, side_plan)
        header = make_header(candidate, bench.progress, bench.known)
        self._refuse_other_conditions(header)
        reference = self.planned.reference(cell)
        artifact = None
        if candidate.artifact is not None:
            found = find_reference(self.planned.baseline, self.request, candidate.artifact, bench)
            artifact = found.artifact
            self.notes += found.notes
        baseline = bench.device(reference, side_plan, artifact=artifact)
        first = make_header(baseline, bench.progress, bench.known)
        self._refuse_another_protocol(first)
        if first.parity is not None and not first.parity.passed:
            raise MeasurementInvalid(
                f"the baseline of {self.label} fails parity here, so it is nothing to compare with",
                "save the baseline anew from a commit whose artifact passes",
            )
        self._refuse_a_document_that_does_not_fit(header)
        self.devices, self.headers = [baseline, candidate], [first, header]
        then = Facts(self.planned.baseline.counts, self.planned.baseline.artifact, first.parity)
        now = Facts(header.counts, header.artifact, header.parity)
        self.checks = list(exact.compare_facts(then, now))

    def _refuse_other_conditions(self, header: Header) -> None:
        """Refuse a baseline that was taken in another way, or elsewhere."""
        saved = self.planned.baseline
        self._refuse_another_protocol(header)
        here = header.environment.get("machine_key")
        if here != saved.machine_key and not self.request.other_machine:
            raise MeasurementInvalid(
                f"the baseline of {self.label} is of another machine ({saved.device}, {saved.machine_key}), "
                f"this is {header.target.device}, {here}",
                "save a baseline on this machine; or add --allow-other-machine: both sides are measured here "
                "anyway, but limits were chosen for the noise of the other machine",
            )
        if here != saved.machine_key:
            self.notes.append(f"the baseline is of another machine, {saved.device}; both sides ran here")
        if header.target.runtime_version != saved.runtime_version:
            self.notes.append(
                f"both sides ran on {header.target.runtime} {header.target.runtime_version}; "
                f"the baseline was saved on {saved.runtime_version}"
            )

    def _refuse_another_protocol(self, header: Header) -> None:
        then, now = self.planned.baseline.protocol.model_dump(), header.protocol.model_dump()
        differing = [
            f"{name.replace('_', ' ')} {then[name]} and {now[name]}"
            for name in then
            if then[name] != now[name]
        ]
        if differing:
            raise MeasurementInvalid(
                f"the baseline of {self.label} is of another protocol: {', '.join(differing)}",
                "save the baseline anew, or gate in the way it was saved",
            )

    def _refuse_a_document_that_does_not_fit(self, header: Header) -> None:
        """One artifact has one size and one count of everything: else the document was altered."""
        saved, artifact = self.planned.baseline, header.artifact
        if saved.artifact is None or artifact is None or artifact.digest != saved.artifact.digest:
            return
        counted = {"bytes": (saved.artifact.bytes, artifact.bytes)} | {
            name: (getattr(saved.counts, name), getattr(header.counts, name))
            for name in ("params_deploy", "macs", "macs_artifact")
        }
        differing = [f"{name} {then} and {now}" for name, (then, now) in counted.items() if then != now]
        if differing:
            raise MeasurementInvalid(
                f"the baseline of {self.label} does not fit its own artifact, which is the candidate's as "
                f"well: {', '.join(differing)}",
                "the document was altered, or saved by a vitbench that counts in another way: save it anew",
            )

    def _plan(self, stage: int, pairs: int) -> Plan:
        """The plan of a stage; its order is drawn by a seed of its own."""
        return make_plan("gate", blocks=2 * pairs, seed=self.seed + 2 * self.number + stage - 1)

    def _take(self, stage: int) -> None:
        cells, first = len(self.request.cells), self.planned.limits.pairs
        pairs, alpha = (first, ALPHA) if stage == 1 else second_stage(cells, first)
        bench, reference = self.bench, self.devices[0].cell
        bench.spent = Spent()
        plan = self._plan(stage, pairs)
        name = reference.workload.label
        row = PlannedRow(
            part="models",
            labels=(name + OF_SIDES[0], name + OF_SIDES[1]),
            tokens=None,
            cells=(reference, self.devices[1].cell),
            choose=False,
            plan=plan,
        )
        half = plan.model_copy(update={"blocks": pairs})
        devices, found = (self.devices, self.headers) if stage == 1 else self._rebuilt()
        headers = [header.model_copy(update={"plan": half}) for header in found]
        measured = measure_row(
            bench,
            row,
            devices,
            headers,
            store=self.samples,
            study=self.study,
            first_block=0 if stage == 1 else 4 * first,
            first_temp_c=self.first_temp_c,
        )
        self._judge(stage, measured.comparison, alpha, pairs)
        if measured.interrupted:
            raise KeyboardInterrupt
        if stage == 2 and measured.failure is not None and len(self.stages[-1].log_ratios) < pairs:
            # Too few pairs, and no stage to come that could have them all.
            raise measured.failure

    def _rebuilt(self) -> tuple[list[Device], list[Header]]:
        """Both sides for the second stage: what a device builds of an artifact by timing, it builds anew.

        Such a build is a draw of its own; confirmed on the same draw, its luck would count twice. Sides that
        run the same artifact run the same build of it.

        Raises:
            MeasurementInvalid: what was built now does not compute what it should.
        """
        engines = [header.artifact.engine for header in self.headers if header.artifact is not None]
        if not any(engines):
            return self.devices, self.headers
        if any(engine is not None and engine.timings == "pinned" for engine in engines):
            self.notes.append(
                "times of tactics are pinned, so what was built for the second stage is the same"
            )
        devices = [replace(each, request=replace(each.request, no_cache=True)) for each in self.devices]
        same = self.devices[0].artifact == self.devices[1].artifact
        if same:
            devices[1] = devices[0]
        headers = [make_header(each, self.bench.progress, {}) for each in devices[: 1 if same else 2]]
        headers = [headers[0], headers[-1]]
        for header in headers:
            if header.parity is not None and not header.parity.passed:
                raise MeasurementInvalid(
                    f"the build for the second stage of {self.label} fails parity: {header.parity.reason}",
                    "build it again: such a build is a draw of its own",
                )
        return devices, headers

    def _judge(self, stage: int, comparison: Comparison, alpha: float, pairs: int) -> None:
        limit = self.planned.limits.regression
        kept, found = stages.judged(comparison, stage=stage, limit=limit, alpha=alpha, wanted=pairs)
        self.stages.append(kept)
        self.judged.append(found)
        if stage == 1:
            self.first_temp_c = stages.first_temperature_c(comparison)
        # A stage that was cut short decides nothing, by memory as little as by time.
        if len(kept.log_ratios) >= pairs and not any(check.name == "memory" for check in self.checks):
            memory = exact.compare_memory(
                stages.blocks_of(comparison, 0),
                stages.blocks_of(comparison, 1),
                self.planned.limits.memory,
            )
            self.checks += [memory] if memory is not None else []
        self.notes += stages.remarks(comparison)
        if found.outcome == "flagged" and found.cycles_ratio is None:
            self.notes.append(stages.unclocked(comparison))
        ratio = "no ratio" if found.ratio is None or math.isnan(found.ratio) else f"ratio {found.ratio:.3f}"
        self.bench.progress.note(f"{self.label}: stage {stage}: {ratio}, {found.outcome}")

    def concluded(self) -> GateCell:
        """The cell with its verdict."""
        planned = self.planned
        cells = len(self.request.cells)
        return outcome.conclude(
            planned,
            checks=self.checks,
            stages=self.stages,
            judged=self.judged,
            error=self.error,
            notes=self.notes,
            today=self.today,
            visible=stages.visible_today(self.stages, planned.limits.regression, planned.limits.pairs, cells),
            digests=tuple(device.artifact.digest if device.artifact else None for device in self.devices),
        )
