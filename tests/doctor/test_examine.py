"""The examination as a whole: through the real agent, and as a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from vitbench import catalog, transport
from vitbench.doctor import examine, tell
from vitbench.doctor.examine import Diagnosis
from vitbench.doctor.machine import Finding, Library, Verdict
from vitbench.doctor.noise import Noise
from vitbench.errors import TargetUnreachable, UsageError
from vitbench.report import Screen
from vitbench.runtime import ProcessTime

STILL = Noise(5, 1000, 1.09, 0.8, 0.2, 0.1, 0.36)
BAD = Finding("governor", Verdict.WARN, "powersave", "sudo cpupower frequency-set --governor performance")
GOOD = Finding("turbo", Verdict.OK, "off")


def doctor(cwd: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "vitbench", "doctor", *arguments]
    return subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )


def diagnosis(*findings: Finding, noise: Noise | None = None, simulated: bool = False) -> Diagnosis:
    facts = {"cpu_model": "Example CPU 9000", "cores": 8, "os": "Example Linux 5", "kernel": "6.1"}
    return Diagnosis("cpu", simulated, facts, findings, noise)


def test_this_machine_is_read_through_its_agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examine, "WATCH_S", 0.2)
    stages: list[str] = []
    found = examine.examine(
        catalog.resolve_target("cpu"), results=str(tmp_path), noise=False, on_stage=stages.append
    )
    verdicts = {finding.knob: finding.verdict for finding in found.findings}
    assert verdicts["runtime"] is Verdict.OK
    assert verdicts["foreign processes"] is not Verdict.UNKNOWN
    assert verdicts["free memory"] is not Verdict.UNKNOWN
    assert verdicts["disk"] is not Verdict.UNKNOWN
    assert (found.noise, found.simulated, stages) == (None, False, ["watching cpu for 0.2 s"])
    assert found.facts["threads"] >= 1


def test_the_noise_check_runs_on_the_target_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examine, "WATCH_S", 0.0)
    monkeypatch.setattr("vitbench.doctor.noise.TIMED_S", 0.05)
    monkeypatch.setattr("vitbench.doctor.noise.WARM_S", 0.02)
    found = examine.examine(catalog.resolve_target("cpu"), results=str(tmp_path))
    assert found.noise is not None
    assert found.noise.blocks == 5
    assert found.noise.iterations >= 100
    assert 0.01 < found.noise.median_ms < 1000


def test_a_scripted_target_is_examined_in_no_time(tmp_path: Path) -> None:
    done = doctor(tmp_path, "-t", "sim", "--json")
    assert done.returncode == 0
    found = json.loads(done.stdout)
    assert (found["target"], found["simulated"], found["noise"]["verdict"]) == ("sim", True, "ok")
    assert found["noise"]["median_ms"] == pytest.approx(5.0, rel=0.02)
    assert {finding["verdict"] for finding in found["findings"]} <= {"ok", "unknown"}
    assert set(found["findings"][0]) == {"knob", "verdict", "seen", "fix"}


def test_warnings_are_no_failure_and_progress_is_no_data(tmp_path: Path) -> None:
    done = doctor(tmp_path, "--no-noise-check", "--threads", "4096", COLUMNS="80")
    assert done.returncode == 0
    assert "fail     threads" in done.stdout
    assert "watching cpu for 1.5 s ..." in done.stderr
    assert "watching" not in done.stdout
    assert "noise" not in done.stdout
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [(["-t", "cpuu"], 2, "did you mean"), (["--results", "nonsense://x"], 2, "nonsense://x")],
)
def test_bad_input(tmp_path: Path, arguments: list[str], code: int, message: str) -> None:
    done = doctor(tmp_path, "--no-noise-check", *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_target_out_of_reach_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_target: object) -> None:
        raise TargetUnreachable("cannot reach `cpu`", "plug it in")

    monkeypatch.setattr(transport, "open", refuse)
    with pytest.raises(TargetUnreachable) as caught:
        examine.examine(catalog.resolve_target("cpu"), results=str(tmp_path))
    assert caught.value.exit_code == 4


def test_the_busiest_come_first_and_we_are_not_among_them() -> None:
    first = [ProcessTime(1, "init", 5_000_000_000), ProcessTime(2, "make", 0), ProcessTime(3, "ours", 0)]
    last = [
        ProcessTime(1, "init", 5_000_000_000),
        ProcessTime(2, "make", 500_000_000),
        ProcessTime(3, "ours", 900_000_000),
        ProcessTime(4, "new", 1_500_000_000),
    ]
    found = examine.busiest(first, last, 2.0, {3})
    assert found is not None
    assert [(one.name, one.cpus) for one in found] == [("new", 0.75), ("make", 0.25)]
    assert examine.busiest(first, last, 0.0, set()) is None


def test_versions_are_compared_with_the_constraints(tmp_path: Path) -> None:
    (tmp_path / "constraints.txt").write_text("# tested\ntorch==2.13.0+cpu\nnumpy==0.0.1\n\nbad line\n")
    found = {
        library.name: library
        for library in examine.libraries([tmp_path / "no", tmp_path / "constraints.txt"])
    }
    assert found["torch"].tested == "2.13.0"
    assert found["numpy"].tested == "0.0.1"
    assert found["numpy"].installed != "0.0.1"
    assert found["onnx"] == Library("onnx", found["onnx"].installed, None)
    assert all(library.tested is None for library in examine.libraries([]))


def test_the_constraints_of_the_package_come_before_a_file_beside_it() -> None:
    package = Path(examine.__file__).parents[1]
    assert examine.CONSTRAINTS[0].is_relative_to(package)
    assert not examine.CONSTRAINTS[1].is_relative_to(package)
    assert all(library.tested for library in examine.libraries(examine.CONSTRAINTS))


def test_free_space_of_a_directory_that_is_not_there_yet(tmp_path: Path) -> None:
    here = examine.free_mb(tmp_path)
    deeper = examine.free_mb(tmp_path / "not" / "yet" / "there")
    assert here is not None
    assert deeper == pytest.approx(here, rel=0.01)


def test_text_has_a_line_per_knob_and_its_fix() -> None:
    assert tell.as_text(diagnosis(BAD, GOOD, noise=STILL), Screen(80)) == (
        "cpu: Example CPU 9000, 8 cores, Example Linux 5, kernel 6.1\n"
        "\n"
        "warn     governor  powersave\n"
        "                   fix: sudo cpupower frequency-set --governor performance\n"
        "ok       turbo     off\n"
        "ok       noise     5 processes, 1000 iterations of 1.09 ms: iterations spread\n"
        "                   0.80 %, processes differ by 0.20 %, drift +0.1 %; 10 pairs\n"
        "                   would show a change of about 0.36 %\n"
        "\n"
        "2 ok, 1 warn: measurements work, but get better with the fixes above\n"
    )


@pytest.mark.parametrize("width", [40, 80, 160])
def test_text_fits_but_commands_stay_whole(width: int) -> None:
    long = Finding("load", Verdict.WARN, "word " * 40, "wait " * 30)
    lines = tell.as_text(diagnosis(BAD, long), Screen(width)).splitlines()
    assert all(len(line) <= width for line in lines if "sudo" not in line)
    assert any(BAD.fix in line for line in lines if BAD.fix)


@pytest.mark.parametrize(
    ("findings", "advice"),
    [
        ((GOOD,), "1 ok: ready to measure"),
        ((GOOD, BAD), "get better with the fixes above"),
        ((GOOD, BAD, Finding("threads", Verdict.FAIL, "9 wanted", "fewer")), "void or fail"),
    ],
)
def test_the_last_line_says_what_it_comes_to(findings: tuple[Finding, ...], advice: str) -> None:
    assert advice in tell.as_text(diagnosis(*findings), Screen(160)).splitlines()[-1]


@pytest.mark.parametrize(("visible", "verdict"), [(1.8, "ok"), (1.9, "warn"), (15.0, "warn"), (15.1, "fail")])
def test_noise_is_judged_by_the_change_one_could_see(visible: float, verdict: str) -> None:
    finding = tell.judge_noise(Noise(5, 1000, 1.0, 1.0, 1.0, 0.0, visible))
    assert finding.verdict == Verdict(verdict)
    assert (finding.fix is None) == (verdict == "ok")


def test_colour_follows_the_verdict_and_changes_no_word() -> None:
    plain, coloured = (
        tell.as_text(diagnosis(BAD, GOOD), Screen(80, colour=colour)) for colour in (False, True)
    )
    assert "\x1b[33mwarn\x1b[0m" in coloured
    assert "\x1b" not in plain


def test_names_from_elsewhere_cannot_steer_the_terminal() -> None:
    hostile = Finding("foreign processes", Verdict.WARN, "1.00 busy: \x1b[2Jevil (1)", "stop them")
    text = tell.as_text(diagnosis(hostile), Screen(80))
    assert "\x1b" not in text
    assert "evil (1)" in text


def test_a_scripted_target_is_marked() -> None:
    assert tell.as_text(diagnosis(GOOD, simulated=True), Screen(80)).startswith(
        "SIMULATED, nothing was examined"
    )


def test_an_unknown_target_is_a_usage_error() -> None:
    with pytest.raises(UsageError):
        catalog.resolve_target("no such target")
