"""One block through a scripted session."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.measure.fakes import FakeDevice, FakeSession, Latency, Screen, constant
from vitbench.measure.block import Setting, run_block
from vitbench.measure.plan import Preset, make_plan
from vitbench.records.schema import Block


def run(
    latency_ms: Latency, preset: Preset = "full", *, shown: bool = False, **script: Any
) -> tuple[Block, FakeSession, Screen]:
    """One block, its session and its screen."""
    session = FakeSession(latency_ms, **script)
    device = FakeDevice(lambda index: session, log=session.log, open_sessions=[session])
    screen = device.screen()
    setting = Setting(make_plan(preset), 3, threads=1, refresh=screen if shown else None)
    return run_block(session, session.probe(), setting), session, screen


def noise(relative: float, latency_ms: float = 5.0, seed: int = 0) -> Latency:
    """Independent log-normal noise."""
    rng = np.random.default_rng(seed)
    return lambda iteration: latency_ms * float(np.exp(relative * rng.standard_normal()))


def requests(session: FakeSession, name: str) -> list[int]:
    """Iterations of each request of that name."""
    return [n for called, n in session.log if called == name]


def test_every_field_is_filled() -> None:
    block, session, _ = run(lambda i: 9.0 if i == 0 else 5.0)
    assert block.index == 3
    assert block.started_utc.endswith("+00:00")
    assert block.steady
    assert block.warmup.total_ns[0] == 9_000_000
    assert block.first_inference_ms == 9.0
    assert block.load_ms == 120.0
    assert block.median_ms == 5.0
    assert block.ci_half_width == 0.0
    assert block.batch_iterations == 20
    assert block.peak_memory_mb == 64.0
    assert block.duration_s == pytest.approx(session.now_ns / 1e9)
    assert block.before.unknown == block.after.unknown == ()
    assert block.after.foreign_cpu == 0.0
    assert block.invalid is None
    for samples in (block.warmup, block.samples):
        parts = (samples.h2d_ns, samples.compute_ns, samples.d2h_ns)
        assert [sum(times) for times in zip(*parts, strict=True)] == list(samples.total_ns)


def test_the_order_of_the_calls() -> None:
    _, session, _ = run(constant(5.0))
    assert [name for name, _ in session.log[:4]] == ["probe", "warm", "warm", "warm"]
    names = [name for name, _ in session.log]
    assert names[-1] == "probe"
    assert names.count("probe") == 2, "nothing is probed while the block runs"
    assert "".join({"warm": "w", "measure": "m"}.get(name, "") for name in names).lstrip("w").strip("m") == ""


def test_a_fast_model_warms_up_for_half_a_second_and_is_timed_for_two() -> None:
    block, session, _ = run(constant(5.0))
    assert requests(session, "warm")[:3] == [1, 2, 17]
    assert len(block.warmup.total_ns) == 100
    assert len(block.samples.total_ns) == 400
    assert set(requests(session, "measure")) == {100}


def test_a_very_fast_model_ends_at_the_most_iterations() -> None:
    """Two seconds of 0.1 ms would be 20000 iterations: the cap of 2000 wins over the minimum of time."""
    block, _, _ = run(constant(0.1))
    assert len(block.samples.total_ns) == 2000


def test_it_waits_for_the_steady_state() -> None:
    block, _, _ = run(lambda i: 8.0 if i < 50 else 5.0)
    assert block.steady
    assert len(block.warmup.total_ns) == 140
    assert max(block.samples.total_ns) == 5_000_000


def test_a_block_that_never_settles_is_flagged_and_kept() -> None:
    # Windows take turns at 25 and 26 ms until the cap of 30 s, and on.
    block, _, _ = run(lambda i: 25.0 if (i // 20) % 2 else 26.0)
    assert not block.steady
    assert 30.0 <= sum(block.warmup.total_ns) / 1e9 < 30.1
    assert len(block.samples.total_ns) >= 200
    assert block.invalid is None


def test_slow_iterations_use_windows_of_three() -> None:
    block, session, _ = run(constant(200.0))
    assert requests(session, "warm") == [1, 2, 3, 3, 3]
    assert block.steady
    assert len(block.samples.total_ns) == 30
    assert block.batch_iterations == 3
    assert set(requests(session, "measure")) == {15}


def test_slow_iterations_end_at_two_minutes() -> None:
    block, _, _ = run(noise(0.5, 200.0))
    assert not block.steady
    assert 120.0 <= sum(block.samples.total_ns) / 1e9 < 122.0
    assert block.ci_half_width is not None
    assert block.ci_half_width > 0.01


def test_the_cap_wins_over_the_minima_of_slow_iterations() -> None:
    block, _, _ = run(constant(50_000.0))
    assert len(block.warmup.total_ns) == 3
    assert len(block.samples.total_ns) == 3
    assert not block.steady


def test_a_slow_first_inference_does_not_make_a_fast_model_slow() -> None:
    block, session, _ = run(lambda i: 2000.0 if i == 0 else 5.0)
    assert requests(session, "warm")[:3] == [1, 2, 17]
    assert block.first_inference_ms == 2000.0
    assert len(block.samples.total_ns) == 400


def test_quick_takes_two_seconds() -> None:
    block, _, _ = run(noise(0.3, 7.0), "quick")
    assert 2.0 <= block.duration_s < 2.2


@pytest.mark.parametrize(("latency_ms", "iterations"), [(30.0, 34), (300.0, 4), (1500.0, 1)])
def test_quick_stays_within_a_second_whatever_an_iteration_takes(latency_ms: float, iterations: int) -> None:
    block, _, _ = run(noise(1e-4, latency_ms), "quick")
    assert abs(len(block.samples.total_ns) - iterations) <= 1
    assert block.duration_s <= 2 * (1.0 + latency_ms / 1e3) + 0.1


def test_one_batch_has_no_interval() -> None:
    block, _, _ = run(constant(400.0), "quick")
    assert len(block.samples.total_ns) == 3
    assert block.ci_half_width is None


def test_pairs_end_at_two_seconds() -> None:
    block, _, _ = run(noise(0.5), "pairs")
    assert 2.0 <= sum(block.samples.total_ns) / 1e9 < 2.1
    assert 2.0 <= sum(block.warmup.total_ns) / 1e9 < 2.1
    assert not block.steady


def test_a_block_without_a_screen_never_pauses() -> None:
    block, session, screen = run(noise(0.1))
    assert block.pauses == ()
    assert screen.shown == []
    names = [name for name, _ in session.log]
    assert "warm" not in names[names.index("measure") :]


def test_a_refresh_comes_between_requests_and_is_followed_by_untimed_iterations() -> None:
    block, session, screen = run(noise(0.1), shown=True)
    timed = [progress for progress in screen.shown if progress.phase == "timed"]
    assert timed
    assert [pause.after_iterations for pause in block.pauses] == [progress.iterations for progress in timed]
    assert all(pause.untimed_iterations == 5 and pause.duration_ms >= 0 for pause in block.pauses)
    names = [name for name, _ in session.log]
    for place, name in enumerate(names):
        if name == "show timed":
            assert names[place - 1] == "measure"
            assert session.log[place + 1] == ("warm", 5)
    assert len(block.samples.total_ns) == sum(requests(session, "measure"))
    assert block.duration_s == pytest.approx(session.now_ns / 1e9), "untimed iterations take their time, too"
    last = timed[-1]
    assert last.block == 3
    assert last.blocks == 5
    assert last.median_ms == pytest.approx(5.0, rel=0.05)
    assert last.ci_half_width is not None


def test_refreshes_are_a_second_apart() -> None:
    block, _, screen = run(noise(0.3), shown=True)
    seconds = sum(block.samples.total_ns) / 1e9
    assert 2 <= len(block.pauses) <= seconds
    warm = [progress for progress in screen.shown if progress.phase == "warm-up"]
    assert len(warm) <= sum(block.warmup.total_ns) / 1e9
    assert all(progress.median_ms is None for progress in warm)


def test_refreshes_of_slow_iterations_are_rare() -> None:
    block, _, _ = run(noise(0.5, 1000.0), shown=True)
    assert len(block.samples.total_ns) > 100
    untimed = sum(pause.untimed_iterations for pause in block.pauses)
    assert 0 < untimed <= len(block.samples.total_ns) / 5


def test_a_witness_voids_a_block_but_its_samples_stay() -> None:
    def heat(session: FakeSession) -> dict[str, Any]:
        return {"throttle_count": 3 if session.probes == 1 else 5}

    block, _, _ = run(constant(5.0), readings=heat)
    assert block.invalid == "the device throttled"
    assert block.after.throttled is True
    assert len(block.samples.total_ns) == 400


def test_a_slow_block_is_not_invalid_for_being_slow() -> None:
    block, _, _ = run(lambda i: 5.0 if i < 100 else 500.0)
    assert block.median_ms == 500.0
    assert block.invalid is None


def test_memory_that_is_not_told_is_none() -> None:
    block, _, _ = run(constant(5.0), readings=lambda session: {"peak_rss_bytes": None})
    assert block.peak_memory_mb is None


def test_the_same_session_gives_the_same_block() -> None:
    first, second = run(noise(0.02, seed=4))[0], run(noise(0.02, seed=4))[0]
    assert first.model_copy(update={"started_utc": ""}) == second.model_copy(update={"started_utc": ""})
