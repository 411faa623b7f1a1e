"""ONNX Runtime through an agent, on a small network."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from statistics import median

import numpy as np
import pytest

from vitbench import runtime
from vitbench.catalog.specs import TargetSpec
from vitbench.errors import ToolError, UsageError
from vitbench.runtime import AgentSession, TensorFile, TensorSpec, write_tensor
from vitbench.transport import Transport


def open_session(
    local: Transport,
    model: Path,
    inputs: list[TensorFile],
    threads: int = 1,
    affinity: tuple[int, ...] | None = None,
) -> AgentSession:
    chosen = runtime.for_target(local.target)
    options = chosen.load_options(threads=threads, affinity=affinity)
    return runtime.open_session(local, chosen, model, options, inputs)


def plain_session(model: Path):  # type: ignore[no-untyped-def]
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])


def test_loads_warms_and_measures(local: Transport, model: Path, inputs: list[TensorFile]) -> None:
    with open_session(local, model, inputs[:1]) as session:
        loaded = session.loaded
        assert loaded.inputs == (TensorSpec("input", "float32", (1, 3, 64, 64)),)
        assert [spec.name for spec in loaded.outputs] == ["features", "logits"]
        assert loaded.runtime_version == runtime.for_target(local.target).version()
        assert loaded.load_ns > 0
        assert loaded.import_ns > 0
        assert session.describe().get("cpu_model", "CPU") == loaded.device
        warm = session.warm(5)
        batch = session.measure(50)
        assert len(warm.total_ns) == 5
        assert [len(part) for part in (batch.h2d_ns, batch.compute_ns, batch.d2h_ns)] == [50] * 3
        parts = zip(batch.h2d_ns, batch.compute_ns, batch.d2h_ns, strict=True)
        assert tuple(map(sum, parts)) == batch.total_ns
        assert sum(batch.total_ns) <= batch.elapsed_ns < 1.1 * sum(batch.total_ns) + 1_000_000
        readings = session.probe()
        assert readings["peak_rss_bytes"] > 20_000_000
        assert readings["own_cpu_ns"] > 0
    assert not Path(f"/proc/{session.pid}").exists()


def test_outputs_are_those_of_the_runtime(
    local: Transport, model: Path, inputs: list[TensorFile], tmp_path: Path
) -> None:
    with open_session(local, model, inputs[:1]) as session:
        session.warm(1)
        brought = session.outputs([[inputs[0]], [inputs[1]]], tmp_path)
    plain = plain_session(model)
    assert len(brought) == 2
    for source, outputs in zip(inputs, brought, strict=True):
        expected = plain.run(None, {"input": source.read()})
        assert [item.name for item in outputs] == ["features", "logits"]
        for item, array in zip(outputs, expected, strict=True):
            assert item.path.parent == tmp_path
            np.testing.assert_array_equal(item.read(), array)


def test_the_reported_median_is_that_of_a_plain_loop(
    local: Transport, model: Path, inputs: list[TensorFile]
) -> None:
    """On a network of about 1 ms; interleaved, and the best of each side, for the machine has other work."""
    plain, feed = plain_session(model), {"input": inputs[0].read()}
    ours, theirs = [], []
    with open_session(local, model, inputs[:1]) as session:
        session.warm(50)
        for _ in range(12):
            ours.append(median(session.measure(60).total_ns))
            times = []
            for _ in range(60):
                begin = time.perf_counter_ns()
                plain.run(None, feed)
                times.append(time.perf_counter_ns() - begin)
            theirs.append(median(times))
    assert 0.9 < min(ours) / min(theirs) < 1.1


def test_the_host_sleeps_while_the_agent_measures(
    local: Transport, model: Path, inputs: list[TensorFile]
) -> None:
    with open_session(local, model, inputs[:1]) as session:
        fastest_ns = min(session.warm(50).total_ns)
        n = 1_000_000_000 // fastest_ns
        begin, cpu_begin = time.monotonic_ns(), time.process_time_ns()
        session.measure(n)
        used, elapsed = time.process_time_ns() - cpu_begin, time.monotonic_ns() - begin
    assert elapsed > 900_000_000
    assert used < 0.01 * elapsed


def test_keeps_to_the_cpus_it_is_given(local: Transport, model: Path, inputs: list[TensorFile]) -> None:
    cpu = max(os.sched_getaffinity(0))
    with open_session(local, model, inputs[:1], threads=2, affinity=(cpu,)) as session:
        assert session.describe()["allowed_cpus"] == [cpu]
        threads = [int(path.name) for path in Path(f"/proc/{session.pid}/task").iterdir()]
        kept = [thread for thread in threads if os.sched_getaffinity(thread) == {cpu}]
        # All but the one that waits for the host to go away.
        assert len(kept) >= 2
        assert len(threads) - len(kept) <= 1


def test_a_truncated_model_is_a_failure_of_the_runtime(
    local: Transport, model: Path, inputs: list[TensorFile], tmp_path: Path
) -> None:
    (tmp_path / "cut.onnx").write_bytes(model.read_bytes()[:1000])
    with pytest.raises(ToolError, match=r"onnxruntime agent on `cpu`: .*cannot load .*cut\.onnx"):
        open_session(local, tmp_path / "cut.onnx", inputs[:1])


def test_a_missing_model_is_named(local: Transport, inputs: list[TensorFile], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no model file .*missing\.onnx") as caught:
        open_session(local, tmp_path / "missing.onnx", inputs[:1])
    assert "see that it is there" in (caught.value.hint or "")


def test_inputs_that_do_not_fit_are_refused(
    local: Transport, model: Path, inputs: list[TensorFile], tmp_path: Path
) -> None:
    small = write_tensor("input", np.zeros((1, 3, 32, 32), "float32"), tmp_path / "small.bin")
    half = write_tensor("input", np.zeros((1, 3, 64, 64), "float16"), tmp_path / "half.bin")
    other = write_tensor("image", inputs[0].read(), tmp_path / "other.bin")
    cut = TensorFile("input", "float32", (1, 3, 64, 64), small.path)
    for tensor, message in [
        (small, r"input 'input' of the model is float32 \[1, 3, 64, 64\], not float32 \[1, 3, 32, 32\]"),
        (half, "not float16"),
        (other, r"the model's inputs are \['input'\], not \['image'\]"),
        (cut, "holds 12288 bytes, not the 49152"),
    ]:
        with pytest.raises(UsageError, match=message):
            open_session(local, model, [tensor])


def test_without_inputs_there_is_nothing_to_time(
    local: Transport, model: Path, inputs: list[TensorFile], tmp_path: Path
) -> None:
    with open_session(local, model, []) as session:
        with pytest.raises(UsageError, match="nothing to time"):
            session.measure(1)
        assert len(session.outputs([[inputs[0]]], tmp_path)) == 1


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL])
def test_a_runtime_that_crashes_fails_its_request_and_nothing_else(
    local: Transport, model: Path, inputs: list[TensorFile], number: signal.Signals
) -> None:
    with open_session(local, model, inputs[:1]) as session:
        threading.Timer(0.3, os.kill, (session.pid, number)).start()
        with pytest.raises(ToolError) as caught:
            session.measure(1_000_000)
    assert f"onnxruntime agent on `cpu` was killed by signal {number.value} ({number.name})" in str(
        caught.value
    )
    if number is signal.SIGSEGV:
        assert "Segmentation fault" in caught.value.tail
        assert "time_iterations" in caught.value.tail
    with open_session(local, model, inputs[:1]) as session:
        assert len(session.measure(1).total_ns) == 1


def test_an_option_of_the_wrong_type_is_refused(cpu: TargetSpec) -> None:
    for options, message in [
        ({"spin_wait": 1}, "option 'spin_wait' of target 'cpu' must be a bool, not 1"),
        ({"spinwait": True}, "option 'spinwait' of target 'cpu' is unknown"),
    ]:
        target = cpu.model_copy(update={"options": options})
        with pytest.raises(UsageError, match=message) as caught:
            runtime.for_target(target).load_options()
    assert caught.value.hint == "did you mean `spin_wait`?"
