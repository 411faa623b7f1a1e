"""Command lines: nothing is left to a default, and nothing is asked for that a build cannot do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vitbench.benchmark_model.command import Invocation, command, writes_result_file
from vitbench.benchmark_model.flags import Flags
from vitbench.errors import UsageError

ESSENTIAL = dict.fromkeys(("graph", "num_runs", "num_threads", "warmup_runs", "run_delay"), "")
TIMED = dict.fromkeys(("min_secs", "max_secs", "warmup_min_secs", "run_frequency", "result_file_path"), "")
TFLITE = Flags(
    "tflite", {**ESSENTIAL, **TIMED, "use_xnnpack": "false", "report_peak_memory_footprint": "false"}
)
LITERT = Flags("litert", {**ESSENTIAL, **TIMED, "use_cpu": "true", "use_gpu": "false", "use_npu": "false"})
OLD = Flags("tflite", ESSENTIAL)

RUN = Invocation(graph="/data/local/tmp/a b.tflite", threads=2, num_runs=300, warmup_runs=30, max_s=60)


def test_the_command_of_tflite() -> None:
    wanted = replace(RUN, mask=0xF0, peak_memory=True, result_file="/data/local/tmp/r.pb")
    assert command("/data/local/tmp/benchmark_model", wanted, TFLITE) == [
        "taskset",
        "f0",
        "/data/local/tmp/benchmark_model",
        "--graph=/data/local/tmp/a b.tflite",
        "--num_threads=2",
        "--num_runs=300",
        "--min_secs=0",
        "--max_secs=60",
        "--warmup_runs=30",
        "--warmup_min_secs=0",
        "--run_delay=-1",
        "--run_frequency=-1",
        "--report_peak_memory_footprint=true",
        "--result_file_path=/data/local/tmp/r.pb",
        "--use_xnnpack=true",
    ]
    assert writes_result_file(TFLITE)


def test_the_command_of_litert() -> None:
    argv = command("./b", RUN, LITERT)
    assert argv[0] == "./b"
    assert {"--use_cpu=true", "--use_gpu=false", "--use_npu=false", "--num_runs=300", "--min_secs=0"} <= set(
        argv
    )
    assert not any("xnnpack" in word or "result_file" in word for word in argv)


def test_xnnpack_is_said_either_way() -> None:
    assert "--use_xnnpack=false" in command("./b", replace(RUN, xnnpack=False), TFLITE)


def test_an_old_build_is_spared_what_it_does_not_know() -> None:
    """Without --min_secs there is no such minimum either: the number of runs is exact."""
    argv = command("./b", replace(RUN, xnnpack=False, result_file="/r.pb"), OLD)
    assert argv == [
        "./b",
        f"--graph={RUN.graph}",
        "--num_threads=2",
        "--num_runs=300",
        "--warmup_runs=30",
        "--run_delay=-1",
    ]
    assert not writes_result_file(OLD)


def test_every_known_flag_that_bears_on_the_time_is_given() -> None:
    bears = {"use_gpu", "use_nnapi", "enable_op_profiling", "allow_fp16", "xnnpack_force_fp16", "dry_run"}
    flags = Flags("tflite", {**TFLITE.defaults, **dict.fromkeys(bears, "true")})
    assert {f"--{name}=false" for name in bears} <= set(command("./b", RUN, flags))


@pytest.mark.parametrize(
    ("changes", "flags", "words"),
    [
        ({}, OLD, "no --use_xnnpack"),
        ({"xnnpack": False}, LITERT, "with XNNPACK only"),
        ({}, Flags("litert", ESSENTIAL), "no --use_cpu"),
        ({"graph": ""}, TFLITE, "needs a model"),
        ({"threads": 0}, TFLITE, "0 threads"),
        ({"num_runs": 0}, TFLITE, "0 inferences"),
        ({"warmup_runs": -1}, TFLITE, "-1 of warm-up"),
        ({"max_s": 0.0}, TFLITE, "allowed 0 s"),
        ({"max_s": float("nan")}, TFLITE, "allowed nan s"),
        ({"mask": 0}, TFLITE, "cannot be 0"),
        ({"mask": 0x80}, TFLITE, "2 threads do not fit on the 1 CPUs of mask 80"),
    ],
)
def test_what_cannot_be_asked(changes: dict[str, object], flags: Flags, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        command("./b", replace(RUN, **changes), flags)
    assert caught.value.message
