"""One run as a whole: the stand-in is commanded, and its two accounts are read, and refused, together."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.benchmark_model.models import adding_model
from tests.support.benchmark_model import install
from vitbench.benchmark_model.command import Invocation, command
from vitbench.benchmark_model.flags import Flags, read_help
from vitbench.benchmark_model.lines import together
from vitbench.benchmark_model.refusals import NoResult, Reason
from vitbench.benchmark_model.result import ToolResult, read_result
from vitbench.records.schema import Told
from vitbench.transport.base import Completed

SAMPLES = {"BM_SAMPLES_US": "1700,1500,1510,1490,1505"}


class Tool:
    """The stand-in in a directory of its own, with a model that is none but in its first bytes."""

    def __init__(self, directory: Path, **environment: str) -> None:
        self.program = str(install(directory, **SAMPLES, **environment))
        self.model = directory / "model.tflite"
        self.model.write_bytes(b"\x1c\0\0\0TFL3" + bytes(40))
        self.file = directory / "result.pb"

    def execute(self, argv: list[str], **environment: str) -> Completed:
        done = subprocess.run(
            argv, capture_output=True, text=True, env={**os.environ, **environment}, timeout=60, check=False
        )
        return Completed(done.returncode, done.stdout, done.stderr)

    @property
    def flags(self) -> Flags:
        done = self.execute([self.program, "--help"])
        return read_help(together(done.stdout, done.stderr), done.returncode)

    def invocation(self, **changes: object) -> Invocation:
        wanted = Invocation(
            str(self.model), 1, num_runs=9, warmup_runs=2, max_s=50, result_file=str(self.file)
        )
        return replace(wanted, **changes)

    def run(self, invocation: Invocation, **environment: str) -> ToolResult:
        done = self.execute(command(self.program, invocation, self.flags), **environment)
        content = self.file.read_bytes() if self.file.exists() else None
        return read_result(done, num_runs=invocation.num_runs, result_file=content)


@pytest.fixture
def tool(tmp_path: Path) -> Tool:
    return Tool(tmp_path)


def test_a_run_of_tflite(tool: Tool) -> None:
    assert tool.flags.dialect == "tflite"
    result = tool.run(tool.invocation(peak_memory=True, mask=1))
    assert result.source == "proto"
    assert result.run.avg_ns == pytest.approx(1_545_555, abs=1)
    assert result.run == Told(
        count=9,
        min_ns=1_490_000,
        max_ns=1_700_000,
        avg_ns=result.run.avg_ns,
        std_ns=82_000,
        p5_ns=1_490_000,
        median_ns=1_505_000,
        p95_ns=1_700_000,
    )
    assert result.warmup is not None
    assert (result.warmup.count, result.warmup.avg_ns) == (2, 1_600_000)
    assert result.first_inference_ns == 1_700_000
    assert result.load_ns is not None
    assert result.peak_memory_mb is not None
    assert result.peak_memory_mb > 1


def test_a_run_of_litert(tmp_path: Path) -> None:
    tool = Tool(tmp_path, BM_DIALECT="litert")
    assert tool.flags.dialect == "litert"
    result = tool.run(tool.invocation())
    assert (result.form, result.source, result.run.count) == ("litert", "proto", 9)
    assert result.run.median_ns == 1_505_000


def test_a_build_without_a_result_file(tmp_path: Path) -> None:
    tool = Tool(tmp_path, BM_WITHOUT="result_file_path,report_peak_memory_footprint")
    result = tool.run(tool.invocation(peak_memory=True))
    assert (result.source, result.peak_memory_mb) == ("text", None)
    assert (result.run.median_ns, result.run.avg_ns) == (1_505_000, 1_545_560)


def test_a_run_without_warm_up_has_no_first_inference(tool: Tool) -> None:
    result = tool.run(tool.invocation(warmup_runs=0))
    assert result.first_inference_ns is None
    assert result.warmup is not None
    assert (result.warmup.count, result.warmup.avg_ns) == (0, None)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("truncate", Reason.TRUNCATED),
        ("silent", Reason.TRUNCATED),
        ("fail", Reason.FAILED),
        ("short", Reason.CUT_SHORT),
        ("old", Reason.OLD_TOOL),
        ("delegate", Reason.DELEGATE),
        ("unconsumed", Reason.UNKNOWN_FLAGS),
        ("segv", Reason.CRASHED),
        ("kill", Reason.KILLED),
        ("stale-file", Reason.CONTRADICTORY),
    ],
)
def test_a_fault_never_becomes_a_result(tool: Tool, fault: str, reason: Reason) -> None:
    with pytest.raises(NoResult) as caught:
        tool.run(tool.invocation(), BM_FAULT=fault)
    assert caught.value.reason is reason


@pytest.mark.parametrize("fault", ["truncate", "fail", "old", "segv", "kill"])
def test_the_file_of_an_earlier_run_does_not_hide_a_fault(tool: Tool, fault: str) -> None:
    tool.run(tool.invocation())
    assert tool.file.exists()
    with pytest.raises(NoResult):
        tool.run(tool.invocation(), BM_FAULT=fault)


def test_a_build_that_does_not_write_its_file_after_all(tool: Tool) -> None:
    result = tool.run(tool.invocation(), BM_FAULT="no-file")
    assert (result.source, result.run.median_ns) == ("text", 1_505_000)


def test_a_run_that_hangs_is_ended_from_outside(tool: Tool) -> None:
    argv = command(tool.program, tool.invocation(), tool.flags)
    with pytest.raises(subprocess.TimeoutExpired):
        subprocess.run(
            argv, capture_output=True, env={**os.environ, "BM_FAULT": "sleep"}, timeout=2, check=False
        )


def test_a_damaged_file_is_the_reason_only_where_the_run_itself_went_well(tool: Tool) -> None:
    good = tool.execute(command(tool.program, tool.invocation(), tool.flags))
    with pytest.raises(NoResult) as caught:
        read_result(good, num_runs=9, result_file=b"<html>")
    assert caught.value.reason is Reason.MALFORMED
    with pytest.raises(NoResult) as caught:
        read_result(replace(good, returncode=139), num_runs=9, result_file=b"")
    assert caught.value.reason is Reason.CRASHED


def test_a_closing_line_may_go_elsewhere_where_there_is_a_file(tool: Tool) -> None:
    done = tool.execute(command(tool.program, tool.invocation(), tool.flags))
    cut = replace(done, stdout=done.stdout.partition("INFO: Inference timings")[0])
    result = read_result(cut, num_runs=9, result_file=tool.file.read_bytes())
    assert (result.form, result.run.count) == ("unclosed", 9)
    with pytest.raises(NoResult, match="before its last line"):
        read_result(cut, num_runs=9)


@pytest.mark.parametrize("content", [None, b"page of an error"])
def test_a_model_that_is_none(tool: Tool, content: bytes | None) -> None:
    if content is None:
        tool.model.unlink()
    else:
        tool.model.write_bytes(content)
    with pytest.raises(NoResult) as caught:
        tool.run(tool.invocation())
    assert caught.value.reason is Reason.MODEL


@pytest.mark.tflite
@pytest.mark.parametrize("dialect", ["tflite", "litert"])
def test_runs_a_real_model(dialect: str, tmp_path: Path) -> None:
    tool = Tool(tmp_path, BM_DIALECT=dialect)
    tool.model.write_bytes(adding_model())
    result = tool.run(tool.invocation(num_runs=20), BM_SAMPLES_US="")
    assert (result.run.count, result.source) == (20, "proto")
    assert result.run.median_ns is not None
    assert result.run.max_ns is not None
    assert 0 <= result.run.median_ns <= result.run.max_ns < 10**9
    assert result.delegate is not None
    assert (result.delegate.name, result.delegate.kernels) == ("XNNPACK", 1)


@pytest.mark.tflite
def test_plain_kernels_where_xnnpack_is_refused(tool: Tool) -> None:
    tool.model.write_bytes(adding_model())
    assert tool.run(tool.invocation(xnnpack=False), BM_SAMPLES_US="").delegate is None


@pytest.mark.tflite
def test_what_the_runtime_itself_says_of_a_model_that_is_too_new(tool: Tool) -> None:
    tool.model.write_bytes(adding_model(version=99))
    with pytest.raises(NoResult, match="no version 99 of ADD") as caught:
        tool.run(tool.invocation(), BM_SAMPLES_US="")
    assert caught.value.reason is Reason.OLD_TOOL
