"""Nothing that comes from a file, a record or a program steers the terminal."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from benchmarks.example_records import example_record
from vitbench import catalog
from vitbench.cli.progress import TerminalProgress
from vitbench.errors import ToolError
from vitbench.records.store import Store
from vitbench.report import Screen, facts, models
from vitbench.report.collect import collect
from vitbench.report.columns import columns
from vitbench.report.select import filters

RED = "\x1b[31mred\x9b1m\u202e"
SEEN = "?[31mred?1m?"


def test_columns() -> None:
    assert columns(("a", "b"), [(RED, "two\nlines")]) == f"a{' ' * 11}  b\n{SEEN}  two?lines\n"


def test_titles_of_models_and_targets() -> None:
    families = {
        name: spec.model_copy(update={"title": RED}) for name, spec in catalog.load_families().items()
    }
    targets = {name: spec.model_copy(update={"title": RED}) for name, spec in catalog.load_targets().items()}
    for text in (
        models.model_list(families, Screen(), as_json=False),
        facts.target_list(targets, as_json=False),
    ):
        assert SEEN in text
        assert "\x1b" not in text


def test_errors_keep_their_lines() -> None:
    error = ToolError(f"first {RED}\nsecond", f"try\n{RED}", tail=f"one\t{RED}\r\ntwo")
    lines = error.explain().split("\n")
    assert lines == [
        f"error: first {SEEN}",
        "second",
        "",
        f"  | one     {SEEN}",
        "  | two",
        "",
        "hint: try",
        SEEN,
    ]


def test_remarks_of_a_report(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.save(example_record(0))
    (tmp_path / f"{RED}.json").write_text("{")
    messages = collect(store, filters([], [], [], None, simulated=False, every=False)).messages
    assert any(SEEN in message for message in messages)
    assert not any("\x1b" in message for message in messages)


def test_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("FORCE_COLOR", "1")  # what rich takes for a terminal
    monkeypatch.setenv("COLUMNS", "80")
    with TerminalProgress() as progress:
        progress.stage(RED, "export")
        progress.note(f"{RED}\nsecond")
    shown = terminal.getvalue()
    assert f"{SEEN}: export" in shown
    assert f"{SEEN}\nsecond" in shown
    assert "\x1b[31m" not in shown
    assert "\u202e" not in shown
