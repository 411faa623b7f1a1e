"""The command line of each version, whole."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.trtexec.tools import PROGRAM, help_text, tool
from vitbench.errors import UsageError
from vitbench.trtexec.command import (
    Build,
    Run,
    build_command,
    check_known,
    paper_command,
    run_command,
    unheld,
)
from vitbench.trtexec.flags import ESSENTIAL, Tool, read_help
from vitbench.trtexec.refusals import NoResult, Reason
from vitbench.trtexec.timing import PAPER, Timing

BUILD = Build("m.onnx", "e.plan", "fp16", islands=("attn/MatMul", "attn/Div"), timing_cache="t.cache")
RUN = Run("e.plan", Timing(iterations=200, warmup_ms=2000), inputs=(("input", "/in.bin"),), times="t.json")
HELD = "attn/MatMul:fp32,attn/Div:fp32"
WEAK = f"--fp16 --precisionConstraints=obey --layerPrecisions={HELD} --layerOutputTypes={HELD}"
REST = "--device=0 --noTF32 --timingCacheFile=t.cache"
COUNTS = "--iterations=200 --duration=0 --warmUp=2000 --avgRuns=10 --percentile=50,90,95,99"
FILES = "--loadInputs=input:/in.bin --exportTimes=t.json"
BUILDS = {
    "8.5.2": f"--onnx=m.onnx --saveEngine=e.plan --buildOnly {WEAK} {REST}",
    "8.6.1": f"--onnx=m.onnx --saveEngine=e.plan --skipInference {WEAK} {REST}",
    "10.3.0": f"--onnx=m.onnx --saveEngine=e.plan --skipInference --stronglyTyped {REST}",
    "10.16.2": f"--onnx=m.onnx --saveEngine=e.plan --skipInference --stronglyTyped {REST}",
    "11.0.0": f"--onnx=m.onnx --saveEngine=e.plan --skipInference {REST}",
    "11.4.1": f"--onnx=m.onnx --saveEngine=e.plan --skipInference {REST}",
}
OLD = "--exposeDMA --separateProfileRun"
NEW = "--exposeDMA --includeDataTransfers --noCudaGraph --noSpinWait"
RUNS = {
    "8.5.2": f"--loadEngine=e.plan --device=0 {COUNTS} --streams=1 {OLD} {FILES}",
    "8.6.1": f"--loadEngine=e.plan --device=0 {COUNTS} --infStreams=1 {OLD} {FILES}",
    "10.3.0": f"--loadEngine=e.plan --device=0 {COUNTS} --infStreams=1 {OLD} {FILES}",
    "10.16.2": f"--loadEngine=e.plan --device=0 {COUNTS} --infStreams=1 {OLD} {FILES}",
    "11.0.0": f"--loadEngine=e.plan --device=0 {COUNTS} --infStreams=1 {NEW} {FILES}",
    "11.4.1": f"--loadEngine=e.plan --device=0 {COUNTS} --infStreams=1 {NEW} {FILES}",
}
PAPER_COUNTS = (
    "--iterations=100 --duration=0 --warmUp=200 --avgRuns=10 --percentile=50,90,95,99 --infStreams=1"
)
AUTHORS = "--separateProfileRun --iterations=100 --duration=0 --fp16"
PAPERS = {
    "8.5.2": f"{AUTHORS} --onnx=m.onnx",
    "8.6.1": f"{AUTHORS} --onnx=m.onnx",
    "10.3.0": f"{PAPER_COUNTS} --separateProfileRun --stronglyTyped --onnx=m.onnx",
    "10.16.2": f"{PAPER_COUNTS} --separateProfileRun --stronglyTyped --onnx=m.onnx",
    "11.0.0": f"{PAPER_COUNTS} --includeDataTransfers --noCudaGraph --noSpinWait --onnx=m.onnx",
    "11.4.1": f"{PAPER_COUNTS} --includeDataTransfers --noCudaGraph --noSpinWait --onnx=m.onnx",
}


@pytest.mark.parametrize("version", BUILDS)
def test_the_table_of_commands(version: str) -> None:
    known = tool(version)
    assert build_command(known, BUILD) == [PROGRAM, *BUILDS[version].split()]
    assert run_command(known, RUN) == [PROGRAM, *RUNS[version].split()]
    assert paper_command(known, "m.onnx") == [PROGRAM, *PAPERS[version].split()]
    for command in (build_command(known, BUILD), run_command(known, RUN), paper_command(known, "m.onnx")):
        check_known(known, command)


def test_graphs_spinning_and_omitted_copies_are_said_either_way() -> None:
    other = replace(RUN, timing=Timing(9, 0, transfers=False, cuda_graph=True, spin_wait=True, overlap=True))
    old, new = (set(run_command(tool(version), other)) for version in ("10.3", "11.0"))
    assert {"--noDataTransfers", "--useCudaGraph", "--useSpinWait"} <= old
    assert not {"--includeDataTransfers", "--noCudaGraph", "--noSpinWait", "--exposeDMA"} & (old | new)
    assert not {"--noDataTransfers", "--useCudaGraph", "--useSpinWait", "--separateProfileRun"} & new


@pytest.mark.parametrize(("version", "flags"), [("8.6.1", []), ("10.3", ["--stronglyTyped"]), ("11.0", [])])
def test_fp32_is_fp32(version: str, flags: list[str]) -> None:
    command = build_command(tool(version), replace(BUILD, precision="fp32"))
    assert "--noTF32" in command
    assert [flag for flag in command if flag in ("--fp16", "--stronglyTyped")] == flags
    assert not any("layerPrecisions" in part for part in command)


def test_the_authors_hold_no_layer_and_leave_tf32_on() -> None:
    command = build_command(tool("8.6.1"), replace(BUILD, paper=True))
    words = "--onnx=m.onnx --saveEngine=e.plan --skipInference --fp16 --timingCacheFile=t.cache"
    assert command == [PROGRAM, *words.split()]
    timed = run_command(tool("8.6.1"), Run("e.plan", PAPER, times="t.json", paper=True))
    assert timed == [PROGRAM, "--loadEngine=e.plan", *AUTHORS.split(), "--exportTimes=t.json"]


def test_the_papers_command_runs_on_the_gpu_that_is_meant() -> None:
    known = tool("8.6.1")
    build = build_command(known, replace(BUILD, paper=True, device=2))
    run = run_command(known, Run("e.plan", PAPER, device=2, paper=True))
    assert "--device=2" in build
    assert "--device=2" in run


def test_a_version_that_cannot_hold_layers_says_so() -> None:
    old = tool("8.2.1", "layerPrecisions", "layerOutputTypes")
    assert [part for part in build_command(old, BUILD) if "recision" in part or "fp16" in part] == ["--fp16"]
    told = unheld(old, "fp16")
    assert told is not None
    assert "8.2.1 cannot hold single layers in fp32" in told
    assert unheld(tool("8.5.2"), "fp16") is None
    assert unheld(old, "fp32") is None
    assert unheld(tool("11.0"), "fp16") is None


def test_one_percentile_before_8_5() -> None:
    assert "--percentile=99" in run_command(tool("8.4.10"), RUN)


def test_layer_info_is_asked_for_in_detail() -> None:
    command = build_command(tool("10.3"), replace(BUILD, layers="l.json"))
    assert command[-2:] == ["--profilingVerbosity=detailed", "--exportLayerInfo=l.json"]


@pytest.mark.parametrize("name", ["a,b", "Input:0", "it's", ""])
def test_names_that_would_be_taken_for_several(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be told to trtexec"):
        build_command(tool("8.6.1"), replace(BUILD, islands=(name,)))
    with pytest.raises(UsageError, match="cannot be told to trtexec"):
        run_command(tool("8.6.1"), replace(RUN, inputs=((name, "/in.bin"),)))


def test_a_path_that_would_be_taken_for_several() -> None:
    with pytest.raises(UsageError, match=r"the path /a,b/in\.bin cannot be told"):
        run_command(tool("11.0"), replace(RUN, inputs=(("input", "/a,b/in.bin"),)))


def test_a_flag_that_a_version_does_not_list_is_refused_before_anything_runs() -> None:
    strange = tool("11.0", "noSpinWait", "exposeDMAx")
    with pytest.raises(UsageError, match=r"11\.0\.0 does not list --noSpinWait"):
        check_known(strange, run_command(strange, RUN))


@pytest.mark.parametrize("timing", [(0, 1, 1), (1, -1, 1), (1, 0, 0)])
def test_numbers_that_make_no_sense(timing: tuple[int, int, int]) -> None:
    iterations, warmup, streams = timing
    with pytest.raises(UsageError, match="cannot time"):
        Timing(iterations, warmup, streams=streams)


def test_help_tells_version_and_flags() -> None:
    found = read_help("trtexec", help_text(ESSENTIAL, "100300"), 0)
    assert isinstance(found, Tool)
    assert (str(found.version), found.simulated) == ("10.3.0", False)
    assert found.knows("onnx")
    assert not found.knows("other")


@pytest.mark.parametrize(
    ("text", "code", "reason"),
    [
        (help_text(ESSENTIAL, ""), 0, Reason.OLD_LAYOUT),
        (help_text(ESSENTIAL, "7103"), 0, Reason.OLD_LAYOUT),
        ("usage: python3 [option]\n  --help\n", 0, Reason.NO_PROGRAM),
        (
            "trtexec: error while loading shared libraries: libnvinfer.so.10: cannot open",
            127,
            Reason.NO_LIBRARY,
        ),
        ("", 139, Reason.CRASHED),
    ],
)
def test_what_is_no_trtexec_to_work_with(text: str, code: int, reason: Reason) -> None:
    with pytest.raises(NoResult) as caught:
        read_help("trtexec", text, code)
    assert caught.value.reason is reason
    assert caught.value.hint
