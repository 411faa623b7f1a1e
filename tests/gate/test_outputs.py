"""What a gate says, in every form: the regressions first, nothing that steers a terminal, a page or a log."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from vitbench.errors import ExitCode, UsageError
from vitbench.gate.outcome import exit_code
from vitbench.records import document
from vitbench.records.gate import Check, GateCell, GateRecord, GateStage, Verdict, Waived
from vitbench.report.gate import github, junit, markdown, table, words
from vitbench.report.gate.show import check_files, check_form, render, show
from vitbench.report.screen import Screen

CODES = {"PASS": 0, "IMPROVEMENT": 0, "REGRESSION": 1, "INCONCLUSIVE": 3, "NOT MEASURED": 4}


def stage(ratio: float, number: int = 1) -> GateStage:
    return GateStage(
        stage=1 if number == 1 else 2,
        alpha=0.01,
        pairs_wanted=10,
        log_ratios=(0.0,) * 10,
        disturbed=0,
        baseline_ms=10.0,
        candidate_ms=10.0 * ratio,
        ratio=ratio,
        low=ratio - 0.01,
        high=ratio + 0.01,
        p=0.001,
        pair_sd=0.01,
        serial_p=0.5,
        cycles_ratio=None,
        outcome="open",
    )


def cell(label: str, verdict: Verdict, ratio: float | None = 1.0, **changes: object) -> GateCell:
    figures = {
        "label": label,
        "model": label.split(":")[0],
        "target": "cpu",
        "limit": 0.03,
        "verdict": verdict,
        "reasons": () if verdict in ("PASS", "IMPROVEMENT") else (f"because of {label}",),
        "stages": () if ratio is None else (stage(ratio),),
        "visible": None if ratio is None else 0.045,
        "exit_code": CODES[verdict],
    }
    return GateCell.model_validate({**figures, **changes})


def record(*cells: GateCell, **changes: object) -> GateRecord:
    figures = {
        "id": "20261121T081500Z-gate-against-main-0x0-cpu-0123abcd",
        "created_utc": "2026-11-21T08:15:00+00:00",
        "vitbench_version": "0.1.0",
        "simulated": False,
        "mode": "paired",
        "advisory": False,
        "baseline": "results/baselines/main.json",
        "baseline_commit": "a" * 40,
        "candidate_commit": "b" * 40,
        "seed": 3,
        "wall_s": 61.5,
        "cells": cells,
    }
    return GateRecord.model_validate({**figures, **changes})


PLANNED = Waived(reason="planned", expires="2999-01-01")
MIXED = record(
    cell("fine:224x224 on cpu", "PASS"),
    cell("gain:224x224 on cpu", "IMPROVEMENT", 0.9),
    cell("noisy:224x224 on cpu", "INCONCLUSIVE", 1.02),
    cell("slow:224x224 on cpu", "REGRESSION", 1.05),
    cell("slower:224x224 on cpu", "REGRESSION", 1.2),
    cell("gone:224x224 on cpu", "NOT MEASURED", None),
    cell(
        "known:224x224 on cpu",
        "REGRESSION",
        1.3,
        waived=PLANNED,
        exit_code=0,
    ),
)
ORDER = ["slower", "slow", "known", "gone", "noisy", "gain", "fine"]
HOSTILE = record(
    cell(
        "evil`|<b>\x1b[31m\r\n::error::x@team:1x1 on cpu",
        "REGRESSION",
        1.1,
        reasons=("bad\n::warning::\x1b]8 100% | `x` <script>",),
    )
)


def positions(text: str) -> list[int]:
    return [text.index(f"{name}:224x224") for name in ORDER]


def test_the_terminal_shows_what_matters_first() -> None:
    text = table.render(MIXED, Screen(width=120))
    assert positions(text) == sorted(positions(text))
    assert "+20.0 % [+19.0, +21.0]" in text
    assert "10.0    12.0" in text
    assert "waived until 2999-01-01: planned" in text
    assert "this gate sees slowdowns from 4.5%" in text
    assert text.rstrip().endswith(
        "7 cells: 3 REGRESSION, 1 NOT MEASURED, 1 INCONCLUSIVE, 1 IMPROVEMENT, 1 PASS (1 waived)"
    )
    assert "\x1b" not in text
    assert "\x1b[" in table.render(MIXED, Screen(width=120, colour=True))


@pytest.mark.parametrize("width", [30, 60, 100])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    for line in table.render(MIXED, Screen(width=width)).splitlines():
        assert len(line) <= width
    table.render(MIXED, Screen(width=width, ascii_only=True)).encode("ascii")


def test_markdown_fits_on_one_screen() -> None:
    text = markdown.render(MIXED)
    assert text.startswith("### ❌ vitbench gate: 7 cells: 3 REGRESSION")
    assert positions(text) == sorted(positions(text))
    many = record(
        *(cell(f"fine{number}:1x1 on cpu", "PASS") for number in range(40)),
        cell("slow:1x1 on cpu", "REGRESSION", 1.1),
    )
    text = markdown.render(many)
    before, folded = text.split("<details>")
    assert before.count("| ✅") == 14
    assert folded.count("| ✅") == 26
    assert before.index("slow:1x1") < before.index("fine0")
    assert len(before.splitlines()) < 30


def test_markdown_of_many_bad_cells_fits_on_one_screen_too() -> None:
    bad = [
        cell(f"noisy{number}:1x1 on cpu", "INCONCLUSIVE", notes=(f"note {number}",)) for number in range(30)
    ]
    text = markdown.render(record(*bad, cell("slow:1x1 on cpu", "REGRESSION", 1.1)))
    before = text.partition("<details>")[0]
    assert len(before.splitlines()) <= 32
    assert before.index("slow:1x1") < before.index("noisy")
    assert "16 more cells: 16 INCONCLUSIVE" in text
    assert "51 more remarks" in text
    # Folded, and not lost.
    for number in range(30):
        assert text.count(f"note {number}\n") == 1
        assert f"because of noisy{number}:" in text.replace("\\", "")


def test_scripted_figures_are_called_that_in_every_form() -> None:
    made = record(cell("slow:1x1 on cpu", "REGRESSION", 1.1), simulated=True)
    for text in (
        table.render(made, Screen(width=200)),
        markdown.render(made),
        junit.render(made),
        github.commands(made),
    ):
        assert "simulated" in text.lower()


def test_junit_counts_and_parses() -> None:
    suite = ET.fromstring(junit.render(MIXED)).find("testsuite")
    assert suite is not None
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "7",
        "failures": "2",
        "errors": "2",
        "skipped": "1",
    }
    failures = [case for case in suite.iter("testcase") if case.find("failure") is not None]
    assert [case.get("name") for case in failures] == ["slower:224x224 on cpu", "slow:224x224 on cpu"]
    (told, *_) = suite.iter("failure")
    assert told.get("message") == "REGRESSION: because of slower:224x224 on cpu"


def test_annotations() -> None:
    lines = github.commands(MIXED).splitlines()
    assert [line.partition(" ")[0] for line in lines] == ["::error"] * 2 + ["::warning"] * 3 + ["::notice"]
    assert lines[0].startswith("::error title=REGRESSION%3A slower%3A224x224 on cpu::+20.0 %25")
    many = record(*(cell(f"s{number}:1x1 on cpu", "REGRESSION", 1.1) for number in range(30)))
    assert len(github.commands(many).splitlines()) == 10


def test_the_summary_of_the_job_is_appended(tmp_path: Path) -> None:
    path = tmp_path / "summary.md"
    path.write_text("before\n")
    github.append_summary(MIXED, {"GITHUB_STEP_SUMMARY": str(path)})
    assert path.read_text().startswith("before\n### ❌")
    github.append_summary(MIXED, {})
    with pytest.raises(UsageError, match="summary of the job"):
        github.append_summary(MIXED, {"GITHUB_STEP_SUMMARY": str(tmp_path)})
    assert github.in_actions({"GITHUB_ACTIONS": "true"})
    assert not github.in_actions({})


def test_json_is_the_record() -> None:
    assert document.parse(render(MIXED, "json").encode()) == MIXED
    assert json.loads(render(MIXED, "json"))["kind"] == "gate"


def test_hostile_names_stay_names() -> None:
    text = table.render(HOSTILE, Screen(width=120, colour=False))
    assert "\x1b" not in text
    assert "\r" not in text
    page = markdown.render(HOSTILE)
    assert "<b>" not in page.replace("`evil'", "").split("|")[0]
    assert "<script>" not in page.replace("\\<script\\>", "")
    commands = github.commands(HOSTILE)
    assert len(commands.splitlines()) == 1
    assert commands.startswith("::error title=")
    assert "%25" in commands
    ET.fromstring(junit.render(HOSTILE))


def test_a_gate_without_cells_is_no_pass() -> None:
    empty = record()
    assert exit_code(empty) == ExitCode.INCONCLUSIVE
    assert words.summary(empty) == "nothing was gated"
    assert table.render(empty, Screen())
    assert markdown.render(empty).startswith("### ⚠️ vitbench gate: nothing was gated")
    ET.fromstring(junit.render(empty))


@pytest.mark.parametrize(
    ("verdicts", "code", "allowed"),
    [
        (["PASS", "IMPROVEMENT"], 0, 0),
        (["PASS", "INCONCLUSIVE"], 3, 0),
        (["NOT MEASURED", "INCONCLUSIVE"], 4, 4),
        (["NOT MEASURED", "REGRESSION"], 1, 1),
    ],
)
def test_exit_codes(verdicts: list[Verdict], code: int, allowed: int) -> None:
    made = record(*(cell(f"{number}:1x1 on cpu", verdict) for number, verdict in enumerate(verdicts)))
    assert exit_code(made) == code
    assert exit_code(made, allow_inconclusive=True) == allowed
    assert exit_code(made.model_copy(update={"interrupted": True})) == (1 if code == 1 else 130)


def test_a_waived_regression_makes_no_code_of_an_interrupted_gate() -> None:
    made = record(
        cell("known:1x1 on cpu", "REGRESSION", 1.3, waived=PLANNED, exit_code=0),
        cell("a:1x1 on cpu", "NOT MEASURED", None, exit_code=3),
        interrupted=True,
    )
    assert exit_code(made) == 130


@pytest.mark.parametrize(
    ("verdicts", "changes", "mark", "code"),
    [
        (["waived"], {}, "✅", 0),
        (["waived", "PASS"], {}, "✅", 0),
        (["waived", "IMPROVEMENT"], {}, "🚀", 0),
        (["waived", "INCONCLUSIVE"], {}, "❔", 3),
        (["waived", "NOT MEASURED", "INCONCLUSIVE"], {}, "⚠️", 4),
        (["waived", "REGRESSION"], {}, "❌", 1),
        (["REGRESSION"], {"advisory": True}, "✅", 0),
        (["REGRESSION", "NOT MEASURED"], {"interrupted": True}, "❌", 1),
        (["PASS", "INCONCLUSIVE"], {"interrupted": True}, "⚠️", 130),
        (["PASS"], {"interrupted": True}, "⚠️", 130),
    ],
)
def test_the_heading_agrees_with_the_exit_code(
    verdicts: list[Any], changes: dict[str, object], mark: str, code: int
) -> None:
    cells = [
        cell(f"{number}:1x1 on cpu", "REGRESSION", 1.3, waived=PLANNED, exit_code=0)
        if verdict == "waived"
        else cell(f"{number}:1x1 on cpu", verdict)
        for number, verdict in enumerate(verdicts)
    ]
    made = record(*cells, **changes)
    assert exit_code(made) == code
    assert markdown.render(made).startswith(f"### {mark} vitbench gate: ")


def test_an_advisory_gate_fails_only_when_strict() -> None:
    made = record(cell("a:1x1 on cpu", "REGRESSION", 1.2), advisory=True, mode="history", baseline=None)
    assert exit_code(made) == 0
    strict = made.model_copy(update={"advisory": False})
    assert exit_code(strict) == 1
    assert github.commands(strict).startswith("::error")
    assert "advisory" in words.summary(made)
    assert github.commands(made).startswith("::warning")
    suite = ET.fromstring(junit.render(made)).find("testsuite")
    assert suite is not None
    assert (suite.get("failures"), suite.get("skipped")) == ("0", "1")


def test_files_are_written_and_checked_before(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show(MIXED, "json", markdown_file=tmp_path / "gate.md", junit_file=tmp_path / "gate.xml", actions=False)
    assert json.loads(capsys.readouterr().out)["kind"] == "gate"
    assert (tmp_path / "gate.md").read_text() == markdown.render(MIXED)
    ET.parse(tmp_path / "gate.xml")
    # What cannot be written is told, and costs no verdict: a regression stays one.
    problems = show(MIXED, "json", markdown_file=tmp_path)
    assert len(problems) == 1
    assert "cannot write" in problems[0]
    assert exit_code(MIXED, unwritten=True) == 1
    assert exit_code(record(cell("a:1x1 on cpu", "PASS")), unwritten=True) == 2
    check_files(tmp_path / "x", None)
    with pytest.raises(UsageError, match="no directory"):
        check_files(tmp_path / "none" / "gate.xml")
    with pytest.raises(UsageError, match="contradicts"):
        check_form("markdown", as_json=True)
    with pytest.raises(UsageError, match="unknown format"):
        check_form("html", as_json=False)


def test_a_table_that_cannot_be_printed_is_a_problem_and_no_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files are written all the same; a pass that nobody can read is an error, a regression stays one."""

    def full(_text: str) -> None:
        raise UsageError("cannot write to standard output: No space left on device", "make room")

    monkeypatch.setattr("vitbench.report.gate.show.emit", full)
    for verdict, code in (("PASS", 2), ("REGRESSION", 1), ("INCONCLUSIVE", 3)):
        made = record(cell("a:1x1 on cpu", verdict))
        problems = show(made, "table", junit_file=tmp_path / f"{verdict}.xml")
        assert [text.splitlines()[0] for text in problems] == [
            "error: cannot write to standard output: No space left on device"
        ]
        assert (tmp_path / f"{verdict}.xml").exists()
        assert exit_code(made, unwritten=bool(problems)) == code


def test_failed_checks_and_notes_are_told() -> None:
    checked = cell(
        "a:1x1 on cpu",
        "REGRESSION",
        None,
        checks=(Check(name="params", baseline="1", candidate="2", passed=False),),
        notes=("a note",),
    )
    text = table.render(record(checked, cell("b:1x1 on cpu", "PASS", notes=("a note",))), Screen())
    assert "every cell: a note" in text


def test_what_is_allowed_hides_no_other_code() -> None:
    made = record(
        cell("a:1x1 on cpu", "INCONCLUSIVE"), cell("b:1x1 on cpu", "NOT MEASURED", None, exit_code=2)
    )
    assert exit_code(made) == 3
    assert exit_code(made, allow_inconclusive=True) == 2


def test_junit_has_no_letters_that_xml_forbids() -> None:
    ET.fromstring(junit.render(record(cell("a:1x1 on cpu", "REGRESSION", reasons=("x\ufffe\uffff\x00",)))))


def test_a_check_that_could_not_be_made_is_told() -> None:
    from vitbench.gate.outcome import _changes

    unknown = Check(name="memory", baseline="known", candidate="not known", passed=None, note="not compared")
    silent = Check(name="memory", baseline="1 MB", candidate="1 MB", passed=True, note="+0.0%")
    assert _changes([unknown, silent]) == ["memory: known -> not known, not compared"]
