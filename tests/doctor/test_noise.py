"""The noise check: what its figures mean, and that its network runs."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from vitbench.doctor import noise
from vitbench.doctor.noise import check_noise, summarise, write_network
from vitbench.runtime import SampleBatch


def blocks_of(
    between: float,
    within: float,
    drift: float = 0.0,
    *,
    blocks: int = 5,
    iterations: int = 400,
    seed: int = 0,
) -> list[list[int]]:
    """Iterations of 10 ms whose block medians and iterations vary by these shares."""
    source = random.Random(seed)
    total = blocks * iterations
    made = []
    for block in range(blocks):
        level = 10e6 * source.lognormvariate(0, between)
        begin = block * iterations
        made.append(
            [
                int(level * source.lognormvariate(0, within) * (1 + drift * (begin + i) / total))
                for i in range(iterations)
            ]
        )
    return made


def test_a_perfectly_still_machine_has_no_noise() -> None:
    found = summarise([[5_000_000] * 100] * 5)
    assert (found.spread_percent, found.between_percent, found.drift_percent) == (0, 0, 0)
    assert (found.visible_percent, found.median_ms, found.iterations) == (0, 5.0, 500)


def test_spread_is_the_interquartile_range() -> None:
    found = summarise(blocks_of(0.0, 0.02))
    assert found.spread_percent == pytest.approx(100 * 0.02 * 1.349, rel=0.1)


def test_between_is_the_deviation_of_the_blocks() -> None:
    found = [summarise(blocks_of(0.03, 0.001, seed=seed)).between_percent for seed in range(200)]
    assert np.sqrt(np.mean(np.square(found))) == pytest.approx(3.0, rel=0.1)


def test_drift_is_the_change_over_the_whole_check() -> None:
    assert summarise(blocks_of(0.0, 0.005, drift=0.10)).drift_percent == pytest.approx(10, abs=1)
    assert summarise(blocks_of(0.0, 0.005, drift=-0.10)).drift_percent == pytest.approx(-10, abs=1)


def test_the_visible_change_is_seen_as_often_as_is_said() -> None:
    """At level .01 the exact signed-rank test sees the stated change in 95 of 100 comparisons."""
    from scipy.stats import wilcoxon

    between = summarise(blocks_of(0.02, 0.001)).between_percent
    visible = summarise(blocks_of(0.02, 0.001)).visible_percent
    source = np.random.default_rng(1)
    pairs = source.normal(visible, np.sqrt(2) * between, size=(4000, noise.PAIRS))
    seen = wilcoxon(pairs, alternative="greater", method="exact", axis=1).pvalue <= 0.01
    assert 0.94 <= np.mean(seen) <= 0.965


class Script:
    """A session whose iterations take 30 ms of the agent's time, the first ones twice that."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    def warm(self, n: int) -> SampleBatch:
        self.asked.append(("warm", n))
        return self._batch(n, 60_000_000)

    def measure(self, n: int) -> SampleBatch:
        self.asked.append(("measure", n))
        return self._batch(n, 30_000_000)

    def _batch(self, n: int, each_ns: int) -> SampleBatch:
        return SampleBatch((each_ns,) * n, (), (), (), elapsed_ns=n * each_ns)


def test_each_block_is_a_fresh_process_and_its_warm_up_is_not_judged() -> None:
    opened: list[Script] = []

    @contextmanager
    def open_session(block: int) -> Iterator[Script]:
        assert block == len(opened)
        opened.append(Script())
        yield opened[-1]

    found = check_noise(open_session, blocks=3)  # type: ignore[arg-type]
    assert len(opened) == 3
    assert opened[0].asked == [("warm", 20), ("measure", 20), ("measure", 20)]
    assert (found.median_ms, found.iterations) == (30.0, 120)


def test_the_network_computes_four_convolutions(tmp_path: Path) -> None:
    import onnxruntime

    path, tensor = write_network(tmp_path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (output,) = session.run(None, {tensor.name: tensor.read()})
    assert output.shape == (1, noise.CHANNELS, noise.SIDE, noise.SIDE)
    assert np.isfinite(output).all()
    assert 0.1 < output.std() < 10
