"""Agent sessions with a scripted target: repeatable, and failing on cue."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from vitbench import runtime, transport
from vitbench.catalog.specs import SimScript, TargetSpec
from vitbench.errors import TargetUnreachable, ToolError, UsageError
from vitbench.runtime import AgentSession, SampleBatch
from vitbench.transport import Transport


def target(**script: float) -> TargetSpec:
    spec = SimScript.model_validate({"latency_ms": 4.0, **script})
    return TargetSpec(name="sim", title="scripted", transport="sim", runtime="sim", sim=spec)


@contextmanager
def session(opened: Transport, block: int = 0, model: str = "net") -> Iterator[AgentSession]:
    chosen = runtime.for_target(opened.target)
    options = chosen.load_options(block=block, model=model)
    with runtime.open_session(opened, chosen, None, options) as running:
        yield running


def sample(opened: Transport, block: int = 0, model: str = "net") -> SampleBatch:
    with session(opened, block, model) as running:
        running.warm(10)
        return running.measure(30)


def test_sessions_repeat_and_blocks_differ() -> None:
    with transport.open(target(block_noise=0.02)) as opened:
        first = sample(opened)
        assert sample(opened) == first
        assert sample(opened, block=1).total_ns != first.total_ns
        assert sample(opened, model="other").total_ns != first.total_ns
    with transport.open(target(block_noise=0.02)) as opened:
        assert sample(opened) == first


def test_time_is_simulated() -> None:
    with (
        transport.open(target(noise=0, latency_ms=1000, load_ms=60_000)) as opened,
        session(opened) as running,
    ):
        assert running.loaded.load_ns == 60_000_000_000
        assert running.loaded.device == "simulated"
        assert running.measure(100).elapsed_ns == 100_000_000_000


def test_readings_tell_of_heat() -> None:
    spec = target(noise=0, throttle_after_s=0.02, throttle_factor=2, temp_c=50, temp_rise_c_per_s=100)
    with transport.open(spec) as opened, session(opened) as running:
        assert running.probe()["throttled"] is False
        batch = running.measure(10)
        readings = running.probe()
    assert batch.total_ns == (4_000_000,) * 5 + (8_000_000,) * 5
    assert readings["throttled"] is True
    assert readings["temp_c"] == pytest.approx(56.0)
    assert running.loaded.runtime_version == runtime.for_target(spec).version()


def test_a_scripted_crash_is_one_failed_block() -> None:
    with transport.open(target(crash_in_block=1)) as opened:
        sample(opened, block=0)
        with pytest.raises(
            ToolError, match="sim agent on `sim` exited with code 70 during `measure`"
        ) as caught:
            sample(opened, block=1)
        assert caught.value.tail == "sim: scripted crash in block 1"
        sample(opened, block=2)


def test_a_lost_link_is_transient() -> None:
    with transport.open(target(lose_link_in_block=2)) as opened:
        sample(opened, block=1)
        with pytest.raises(TargetUnreachable) as caught:
            sample(opened, block=2)
        assert caught.value.transient is True
        sample(opened, block=2)


def test_asks_about_the_agent_and_the_device() -> None:
    with transport.open(target()) as opened:
        with runtime.open_agent(opened) as idle:
            hello = idle.hello()
            assert hello.pid == idle.pid
            assert hello.runtimes["sim"] == "1"
            assert idle.describe()["python"] == hello.python
            with pytest.raises(UsageError, match="agent on `sim`: no model is loaded"):
                idle.measure(1)
            with pytest.raises(RuntimeError, match="nothing is loaded"):
                _ = idle.loaded
        with session(opened) as running:
            assert running.describe()["cpu_model"] == "simulated"
            assert running.processes() == ()


def test_lists_the_processes_of_this_machine() -> None:
    import os

    with transport.open(target()) as opened, runtime.open_agent(opened) as idle:
        mine = [process for process in idle.processes() if process.pid == os.getpid()]
        assert len(mine) == 1
        assert mine[0].cpu_ns > 0


def test_outputs_of_a_simulated_target_are_refused(tmp_path: Path) -> None:
    with (
        transport.open(target()) as opened,
        session(opened) as running,
        pytest.raises(UsageError, match="computes no outputs"),
    ):
        running.outputs([], tmp_path)


def test_a_session_left_by_an_error_is_killed_at_once() -> None:
    with transport.open(target()) as opened:
        with pytest.raises(ZeroDivisionError), session(opened) as running:
            raise ZeroDivisionError
        assert not Path(f"/proc/{running.pid}").exists()
        running.close()
        with pytest.raises(ToolError, match="has ended"):
            running.probe()


def test_rounds_of_fewer_requests_than_are_counted_are_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    with transport.open(target(noise=0)) as opened, session(opened) as running:
        assert running.stream(2, 2).total_ns == (8_000_000, 8_000_000)
        alone = {"ok": True, "lanes": 1, "samples": {"total_ns": [4, 4]}, "elapsed_ns": 16}
        with monkeypatch.context() as patch:
            patch.setattr(running._channel, "request", lambda message, timeout_s: alone)
            with pytest.raises(ToolError, match="only 1 of 2 requests are under way at once"):
                running.stream(2, 2)
