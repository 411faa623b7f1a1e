"""What pairs of a thing with itself say of a device: its noise, and the gate that fits it. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from vitbench.errors import ExitCode, VitbenchError, worst
from vitbench.gate.cost import CellCost, estimate
from vitbench.measure.plan import make_plan
from vitbench.records.schema import Plan
from vitbench.stats.blocks import lag1_autocorrelation
from vitbench.stats.gate import SERIAL_ALPHA, pass_chance, propose, second_stage, serial_p, visible


@dataclass(frozen=True)
class Noise:
    """Pairs of one cell with itself.

    Attributes:
        label: `effvit-b0:224x224 on cpu`.
        match: what a table of `gate.toml` calls the cell.
        target: its target.
        differences: log ratios of the pairs that count, in the order they were taken.
        disturbed: pairs that do not count.
        latency_ms: median of the blocks.
        load_ms: median time of loading.
        plan: of its pairs, as they were taken.
        simulated: whether the figures are scripted.
    """

    label: str
    match: str
    target: str
    differences: tuple[float, ...]
    disturbed: int
    latency_ms: float
    load_ms: float
    plan: Plan = field(default_factory=lambda: make_plan("gate"))
    simulated: bool = False


@dataclass(frozen=True)
class Proposal:
    """The gate that fits the noise of a cell.

    Attributes:
        pair_sd: standard deviation of the pair differences.
        autocorrelation: of neighbouring differences, lag 1.
        serial_p: of "neighbouring differences are not alike"; under 0.01 pairs are no replicates.
        pairs, limit: proposed K and d.
        second_pairs: of the second stage.
        visible: the smallest slowdown that is seen with power 0.95, as a fraction.
        pass_chance: P[the cell ends PASS when nothing changed].
    """

    noise: Noise
    pair_sd: float
    autocorrelation: float
    serial_p: float
    pairs: int
    limit: float
    second_pairs: int
    visible: float
    pass_chance: float

    @property
    def alike(self) -> bool:
        """Whether neighbouring pairs are alike, so that a gate would say nothing."""
        return self.serial_p <= SERIAL_ALPHA


@dataclass(frozen=True)
class Calibration:
    """Proposals for cells that are gated together.

    Attributes:
        all_pass: P[all end PASS when nothing changed].
        usual_s: seconds that the proposed gate takes when nothing changed.
        failures: labels of cells that have no proposal, and why.
        asked: cells that were to be calibrated; a gate of all of them is proposed.
    """

    cells: tuple[Proposal, ...]
    all_pass: float
    usual_s: float
    failures: tuple[tuple[str, VitbenchError], ...] = ()
    asked: int = 1

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C left cells without a proposal."""
        return len(self.cells) + len(self.failures) < self.asked

    @property
    def exit_code(self) -> int:
        """0 when every cell has a proposal, else the highest of what befell the others; 130 after Ctrl-C."""
        if self.interrupted:
            return ExitCode.INTERRUPTED
        return worst(error.exit_code for _, error in self.failures)


def calibration(
    cells: Sequence[Noise], failures: Sequence[tuple[str, VitbenchError]] = (), *, asked: int | None = None
) -> Calibration:
    """Propose pairs and limit for each of the cells, which are gated together.

    Args:
        cells: that were measured.
        failures: labels of those that could not be, and why.
        asked: cells that are gated together; those that were measured when None.

    Raises:
        ValueError: there is none, or one has fewer than two pairs.
    """
    if not cells:
        raise ValueError("nothing to calibrate")
    together = len(cells) if asked is None else asked
    proposals = tuple(_proposal(cell, together) for cell in cells)
    costs = [
        CellCost(
            each.noise.latency_ms / 1e3,
            each.noise.load_ms / 1e3,
            each.pairs,
            each.noise.plan,
        )
        for each in proposals
    ]
    return Calibration(
        cells=proposals,
        all_pass=math.prod(each.pass_chance for each in proposals),
        usual_s=estimate(costs).usual_s,
        failures=tuple(failures),
        asked=together,
    )


def _proposal(noise: Noise, cells: int) -> Proposal:
    values = np.asarray(noise.differences)
    if len(values) < 2:
        raise ValueError("two pairs at least")
    pair_sd = float(values.std(ddof=1))
    pairs, limit = propose(pair_sd)
    return Proposal(
        noise=noise,
        pair_sd=pair_sd,
        autocorrelation=lag1_autocorrelation(values),
        serial_p=float(serial_p(values)),
        pairs=pairs,
        limit=limit,
        second_pairs=second_stage(cells, pairs)[0],
        visible=visible(limit, pair_sd, pairs, cells),
        pass_chance=pass_chance(limit, pair_sd, pairs, cells),
    )
