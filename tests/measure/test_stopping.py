"""The stopping rule, look by look."""

from __future__ import annotations

import numpy as np
from scipy.signal import lfilter

from vitbench.measure.plan import Pace, make_plan, timed_pace
from vitbench.measure.stopping import look, next_request

PACE = timed_pace(make_plan("full"), 1e6)


def noisy(n: int, noise: float, *, phi: float = 0.0, seed: int = 0) -> list[int]:
    """Iterations of 5 ms with autocorrelated noise."""
    shocks = np.random.default_rng(seed).standard_normal(n + 100) * np.sqrt(1 - phi**2)
    return [round(5e6 * (1 + noise * x)) for x in lfilter([1], [1, -phi], shocks)[100:]]


def run_rule(series: list[int], pace: Pace, ci_width: float = 0.01) -> tuple[str, int, list[int]]:
    """Why it stopped, after how many iterations, and at which counts it looked."""
    done, batch, looks = 0, pace.window, []
    while True:
        done += next_request(done, sum(series[:done]) / 1e9, series[0] / 1e9, batch, pace)
        seen = look(series[:done], sum(series[:done]) / 1e9, batch, ci_width, pace)
        batch = seen.batch
        if seen.interval is not None:
            looks.append(done)
        if seen.stop is not None:
            return seen.stop, done, looks


def test_it_looks_from_ten_batches_on_and_every_five() -> None:
    stop, done, looks = run_rule([5_000_000] * 2000, PACE)
    assert (stop, done) == ("width", 400)
    assert looks == [200, 300, 400], "2 s of 5 ms are 400 iterations; the width alone does not end it"


def test_it_waits_for_the_iterations_too() -> None:
    stop, done, _ = run_rule([50_000_000] * 2000, PACE)
    assert (stop, done) == ("width", 200)


def test_noise_makes_it_go_on() -> None:
    quiet = [run_rule(noisy(2000, 0.02, seed=seed), PACE)[:2] for seed in range(20)]
    loud = [run_rule(noisy(2000, 0.1, seed=seed), PACE)[:2] for seed in range(20)]
    assert np.median([done for _, done in quiet]) <= 500
    assert np.median([done for _, done in loud]) > 600
    assert all(stop == "width" for stop, _ in quiet)


def test_it_ends_at_the_most_iterations() -> None:
    stop, done, looks = run_rule(noisy(2000, 0.5), PACE)
    assert (stop, done, looks[-1]) == ("cap", 2000, 2000)


def test_it_ends_at_the_time_cap_before_the_minima() -> None:
    # 30 s of 0.149 s: the 202nd iteration passes the cap, and 200 are asked for at least.
    stop, done, _ = run_rule([149_000_000] * 300, Pace(20, 250, 2.0, 2000, 30.0), ci_width=1e-9)
    assert (stop, done) == ("cap", 202)
    # One iteration longer than the cap.
    stop, done, looks = run_rule([40_000_000_000] * 10, PACE)
    assert (stop, done, looks) == ("cap", 1, [1])


def test_correlation_makes_it_go_on_for_longer() -> None:
    alone = [run_rule(noisy(2000, 0.05, seed=seed), PACE)[1] for seed in range(20)]
    together = [run_rule(noisy(2000, 0.05, phi=0.7, seed=seed), PACE)[1] for seed in range(20)]
    assert np.mean(together) > 1.2 * np.mean(alone)


def test_a_batch_once_doubled_stays_doubled() -> None:
    wave = [round(5e6 * (1 + 0.02 * np.sin(i * 2 * np.pi / 100))) for i in range(400)]
    first = look(wave[:200], 3.0, 20, 1e-9, PACE)
    assert first.stop is None
    assert first.batch == 40
    assert look(wave[:400], 3.0, first.batch, 1e-9, PACE).batch >= 40
    assert look(wave[:300], 3.0, first.batch, 0.5, PACE).interval is None, (
        "300 is no multiple of five batches"
    )


def test_slow_iterations_look_at_thirty() -> None:
    pace = timed_pace(make_plan("full"), 1e9)
    stop, done, looks = run_rule([200_000_000] * 100, pace)
    assert (stop, done, looks) == ("width", 30, [30])
    stop, done, _ = run_rule([5_000_000_000] * 100, pace)
    assert (stop, done) == ("cap", 24), "120 s of 5 s: the cap wins over thirty iterations"


def test_requests_are_of_five_windows_at_most() -> None:
    assert next_request(0, 0.0, 0.005, 20, PACE) == 100
    assert next_request(0, 0.0, 0.005, 160, PACE) == 100
    assert next_request(130, 0.0, 0.005, 20, PACE) == 70
    assert next_request(1950, 0.0, 0.005, 20, PACE) == 50
