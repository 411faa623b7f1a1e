"""The benchmark of a GPU, run dry on this machine's processor."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks import gpu, gpu_summary
from benchmarks.gpu_summary import Outcome
from tests.support.tensorrt_stand_in.interpreter import make_python
from tests.support.tensorrt_stand_in.toys import build_options, write_input, write_toy
from vitbench import catalog, runtime
from vitbench.catalog import TargetSpec


@pytest.fixture(autouse=True)
def _no_python_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the tests of TensorRT run, their variable is set."""
    monkeypatch.delenv(gpu.TRT_PYTHON, raising=False)


def bench(results: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.gpu", "--results", str(results), *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=gpu.ROOT, env=environment, capture_output=True, text=True, check=False)


def test_it_runs_dry_to_its_end_and_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    dry = ("--device", "cpu", "--model", "attention-4x16:7x7", "--minutes", "20")
    done = bench(tmp_path, *dry, "--only", "peak", "modes", "tests")
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.partition(" (")[0] for line in done.stdout.splitlines()] == [
        *("peak: done", "modes: done"),
        str(tmp_path / "summary.md"),
    ]
    text = (tmp_path / "summary.md").read_text()
    assert "Its best in two probes" in text
    (row,) = (line for line in text.splitlines() if line.startswith("| attention-4x16:7x7 | torch-eager"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    latency, paper, placed, compute, taken, residual = map(float, cells[2:8])
    assert paper == pytest.approx(placed + compute + taken, rel=0.1)
    assert latency == pytest.approx(paper + residual, rel=0.1)
    assert cells[8].endswith("x")
    assert float(cells[8][:-1]) > 1
    assert cells[9].startswith("passed")
    again = bench(tmp_path, *dry, "--only", "peak", "modes", "--resume")
    assert again.stdout == f"{tmp_path / 'summary.md'}\n"


def test_without_a_gpu_it_says_how_to_run_dry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "has_cuda", lambda: False)
    assert gpu.main(["--results", str(tmp_path / "none")]) == 2
    assert not (tmp_path / "none").exists()


def test_a_step_that_fails_or_takes_too_long_is_told_and_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program = "import sys; print('an error: no such kernel'); print('bye'); sys.exit(5)"
    patient = "import time; print('at work', flush=True); time.sleep(60)"
    steps = (
        gpu.Step("failing", 1, lambda plan: [sys.executable, "-c", program]),
        gpu.Step("patient", 1, lambda plan: [sys.executable, "-c", patient]),
        gpu.Step("absent", 50, lambda plan: None),
        gpu.Step("fine", 2, lambda plan: [sys.executable, "-c", "pass"]),
    )
    monkeypatch.setattr(gpu, "STEPS", steps)
    begin = time.monotonic()
    assert gpu.main(["--device", "cpu", "--results", str(tmp_path), "--minutes", "0.1"]) == 1
    assert time.monotonic() - begin < 20
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("failing: exit code 5: an error: no such kernel")
    assert told[1].startswith("patient: stopped after")
    assert told[2].startswith("fine: done")
    outcomes = json.loads((tmp_path / "steps.json").read_text())
    assert list(outcomes) == ["failing", "patient", "fine"]
    assert "no such kernel" in (tmp_path / "summary.md").read_text()


def test_a_step_that_will_not_stop_keeps_to_its_time(tmp_path: Path) -> None:
    program = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); time.sleep(60)"
    outcome = gpu.run_step([sys.executable, "-c", program], tmp_path / "log.txt", 4.0)
    assert outcome.problem is not None
    assert outcome.seconds < 6


def test_a_driver_that_hangs_is_none_and_looking_for_it_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang(command: list[str], timeout: float | None = None, **_: object) -> None:
        assert timeout is not None
        raise subprocess.TimeoutExpired(command, timeout)

    def look() -> bool:
        time.sleep(0.5)
        return True

    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "run", hang)
        assert not gpu.has_cuda()
        assert gpu.find_trt_python("python") is None
    monkeypatch.setattr(gpu, "has_cuda", look)
    monkeypatch.setattr(gpu, "find_trt_python", lambda wanted: None)
    step = gpu.Step("only", 1, lambda plan: [sys.executable, "-c", "pass"])
    monkeypatch.setattr(gpu, "STEPS", (step,))
    # 1.2 seconds for all: under one is left.
    assert gpu.main(["--results", str(tmp_path), "--minutes", "0.02"]) == 1
    assert "the time was up" in (tmp_path / "summary.md").read_text()


def test_a_device_that_is_none_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        gpu.main(["--device", "cuda"])
    assert caught.value.code == 2
    assert "'cuda' is neither cuda:N nor cpu" in capsys.readouterr().err


def test_only_what_was_compared_is_called_fidelity(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    told = "effvit-b1: vitbench 2.002 ms, plain loop 2.000 ms, ratio 1.0010 [0.9990, 1.0030]"
    (tmp_path / "logs" / "fidelity.txt").write_text(f"CUDA error: operation not permitted\n{told}\n")
    text = gpu_summary.render(tmp_path, {})
    assert told in text
    assert "not permitted" not in text


def test_the_bare_loops_of_both_runtimes_are_told(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    told = {"fidelity": "b1 on torch-eager: ", "tensorrt-fidelity": "b1 on tensorrt: "}
    for step, begin in told.items():
        (tmp_path / "logs" / f"{step}.txt").write_text(f"{begin}vitbench 2 ms, ratio 1.0 (limit 1)\n")
    text = gpu_summary.render(tmp_path, {})
    assert "- b1 on torch-eager: vitbench 2 ms, ratio 1.0 (limit 1)\n- b1 on tensorrt: vitbench" in text


def test_without_tensorrt_its_steps_are_told_as_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu, "has_cuda", lambda: True)
    monkeypatch.setattr(gpu, "find_trt_python", lambda wanted: None)
    names = [step.name for step in gpu.STEPS if step.tensorrt]
    assert gpu.main(["--results", str(tmp_path), "--only", *names]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[:-1] == [f"{name}: skipped: TensorRT is not there" for name in names]
    assert (
        "| tensorrt-fidelity | 0 | skipped: TensorRT is not there |" in (tmp_path / "summary.md").read_text()
    )


TOY = "attention-4x16:7x7"
STAND_IN_TARGET = """\
name = "tensorrt"
title = "a made-up GPU"
transport = "local"
runtime = "tensorrt"
precision = "fp16"
python = "{python}"
[options]
engines = "{engines}"
"""


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with a made-up GPU and TensorRT."""
    return make_python(tmp_path_factory.mktemp("python") / "python")


def bare(place: Path, python: Path, *more: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Our loop over the made-up TensorRT against a bare one."""
    target = place / "tensorrt.toml"
    target.write_text(STAND_IN_TARGET.format(python=python, engines=place / "engines") + "\n".join(more))
    return subprocess.run(
        [*(sys.executable, "-m", "benchmarks.fidelity", "--target", str(target), "--model", TOY),
         *("--pairs", "1", "--limit", "1e9")],
        cwd=gpu.ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip


def test_our_loop_over_tensorrt_is_compared_with_a_bare_one(tmp_path: Path, stand_in: Path) -> None:
    done = bare(tmp_path, stand_in)
    found = re.search(r"on tensorrt: vitbench ([\d.]+) ms, plain loop ([\d.]+) ms, ratio ", done.stdout)
    assert found is not None, done.stderr
    assert min(map(float, found.groups())) > 0


def test_a_bare_loop_makes_no_graph(tmp_path: Path, stand_in: Path) -> None:
    done = bare(tmp_path, stand_in, "cuda_graph = true")
    assert done.returncode == 2
    assert "runs a CUDA graph, and the plain loop does not" in done.stderr


class BareLoop:
    """The script alone, over an engine of a toy network."""

    def __init__(self, python: Path, place: Path) -> None:
        model = write_toy(place / "model")
        program = "from vitbench.agent.tensorrt.build import build; "
        request = {"model": str(model), "options": build_options(place / "engines")}
        told = subprocess.run(
            [python, "-c", f"{program} print(build({request!r})['engine'])"],
            env=os.environ | {"PYTHONPATH": str(gpu.ROOT)},
            capture_output=True,
            text=True,
            check=True,
        )
        self.command = [python, "-E", gpu.ROOT / "benchmarks/plain_trt_loop.py", told.stdout.split()[-1]]

    def run(self, data: Path, said: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.command, data, "0"],
            input=said,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            check=False,
        )


def test_the_bare_loop_needs_nothing_of_vitbench(tmp_path: Path, stand_in: Path) -> None:
    loop = BareLoop(stand_in, tmp_path)
    write_input(tmp_path / "x.bin")
    done = loop.run(tmp_path / "x.bin", "2\n3\n")
    assert [len(line.split()) for line in done.stdout.splitlines()] == [2, 3], done.stderr
    (tmp_path / "short.bin").write_bytes(b"1234")
    assert "the input holds 4 bytes, and the engine takes 8" in loop.run(tmp_path / "short.bin", "").stderr
    failed = loop.run(tmp_path / "x.bin", "1\n", VITBENCH_STAND_IN_FAILS="no-gpu")
    assert "cuInit: error 100 of the driver" in failed.stderr
    assert "vitbench" not in (gpu.ROOT / "benchmarks/plain_trt_loop.py").read_text().partition('"""\n\n')[2]


def test_the_bare_loop_queues_a_request_and_waits_once(tmp_path: Path, stand_in: Path) -> None:
    """In, compute, out, wait: and nothing else."""
    loop = BareLoop(stand_in, tmp_path)
    write_input(tmp_path / "x.bin")
    program = (
        "import sys, gpu_stand_in, tensorrt; sys.path.insert(0, sys.argv[1]); import plain_trt_loop as loop; "
        "gpu = loop.Gpu(0, loop.SPIN); "
        "kept, request = loop.make_request(tensorrt, gpu, sys.argv[2], open(sys.argv[3], 'rb').read()); "
        "calls = gpu_stand_in.GPU.calls; calls.clear(); request(); print(*calls)"
    )
    told = subprocess.run(
        [stand_in, "-c", program, gpu.ROOT / "benchmarks", loop.command[-1], tmp_path / "x.bin"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.split() == [
        *("cuMemcpyHtoDAsync_v2", "execute_async_v3", "cuMemcpyDtoHAsync_v2", "cuStreamSynchronize")
    ]


def plan(tmp_path: Path, trt_python: str | None = None) -> gpu.Plan:
    return gpu.Plan("cuda:1", tmp_path, trt_python)


def test_the_targets_that_it_writes_are_targets(tmp_path: Path) -> None:
    quoted = 'a "quoted" python'
    written = plan(tmp_path, quoted)
    gpu.write_targets(written)
    for mode in ("eager", "compile", "graph"):
        found = catalog.resolve_target(written.target(f"torch-{mode}"))
        options = runtime.for_target(found).load_options()
        assert (options["mode"], options["device"], found.precision) == (mode, "cuda:1", "fp16")
    tensorrt: TargetSpec = catalog.resolve_target(written.target("tensorrt"))
    assert (tensorrt.python, tensorrt.runtime) == (quoted, "tensorrt")
    assert runtime.for_target(tensorrt).load_options()["device"] == 1


def test_each_step_has_its_command_on_a_gpu(tmp_path: Path) -> None:
    commands = {step.name: step.command(plan(tmp_path)) for step in gpu.STEPS}
    assert commands["tensorrt"] is None, "nobody said where TensorRT is"
    assert plan(tmp_path).precision == "fp16"
    said = {name: " ".join(command) for name, command in commands.items() if command}
    assert "tests/hardware" in said["tests"]
    assert "--limit 0.01" in said["fidelity"]
    assert said["modes"].count(".toml") == 3
    for name in ("effvit-b1,", "effvit-b2,", "effvit-b3,", "effvit-l1,", "effvit-l2 "):
        assert name in said["family"]
    assert "effvit-b1-cityscapes:1024x2048,effvit-l1-cityscapes:1024x2048" in said["large"]
    assert "--metric throughput --batch 1,8,64,256" in said["throughput"]
    assert "effvit-b1+softmax effvit-b1 " in said["attention"]
    with_tensorrt = plan(tmp_path, "/opt/old/python3")
    also = {step.name: " ".join(step.command(with_tensorrt) or ()) for step in gpu.STEPS}
    added = {"", "-fidelity", "-attention", "-large", "-throughput"}
    assert set(also) - set(said) == {f"tensorrt{name}" for name in added}
    for name in set(also) - set(said):
        assert with_tensorrt.target("tensorrt") in also[name]
    assert {step.name for step in gpu.STEPS if step.tensorrt} == set(also) - set(said)
    assert "-m benchmarks.fidelity " in also["tensorrt-fidelity"]
    assert "--limit 0.01" in also["tensorrt-fidelity"]
    assert "compare effvit-b1+softmax effvit-b1 " in also["tensorrt-attention"]
    names = list(also)
    assert names.index("tensorrt") < names.index("tensorrt-fidelity"), "it takes the engine that is there"
    assert ",".join(gpu.FAMILY) in also["tensorrt"]
    assert ",".join(gpu.CITYSCAPES) in also["tensorrt-large"]
    assert "--metric throughput --batch 1,8,64,256" in also["tensorrt-throughput"]


def test_the_tests_of_tensorrt_run_under_its_python(tmp_path: Path) -> None:
    """Without the variable they would be left out, and the step would go well."""
    for python, named in (("/opt/old python/python3", ["/opt/old python/python3"]), (None, [])):
        command = gpu._tests(plan(tmp_path, python))
        assert command is not None
        begin = command.index(sys.executable)
        program = f"import os; print(os.environ.get({gpu.TRT_PYTHON!r}))"
        environment = {name: value for name, value in os.environ.items() if name != gpu.TRT_PYTHON}
        told = subprocess.run(
            [*command[: begin + 1], "-c", program],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert told.stdout == f"{named[0] if named else None}\n"


def test_a_python_without_tensorrt_that_is_named_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu, "has_cuda", lambda: True)
    results = tmp_path / "none"
    wrong = str(tmp_path / "python3")
    assert gpu.main(["--results", str(results), "--trt-python", wrong]) == 2
    assert f"{wrong} cannot import tensorrt" in capsys.readouterr().err
    assert not results.exists()
    monkeypatch.setenv(gpu.TRT_PYTHON, wrong)
    assert gpu.main(["--results", str(results)]) == 2


def test_the_floor_is_the_longer_of_arithmetic_and_traffic(tmp_path: Path) -> None:
    from benchmarks.example_records import example_record
    from vitbench.report.rows import from_records

    (row,) = from_records([example_record()])
    traffic = row.bytes_read + row.bytes_written
    peak = {"macs_per_s": 1e9, "bytes_per_s": 1e30}
    assert gpu_summary.floor_ms(row, peak) == pytest.approx(row.macs_artifact / 1e6)
    peak = {"macs_per_s": 1e30, "bytes_per_s": 1e9}
    assert gpu_summary.floor_ms(row, peak) == pytest.approx(traffic / 1e6)


def test_nothing_measured_is_a_summary_as_well(tmp_path: Path) -> None:
    text = gpu_summary.render(tmp_path, {"peak": Outcome(1.0, "a | b")})
    assert "| peak | 1 | a \\| b |" in text
    assert text.count("Nothing was measured.") == 5
