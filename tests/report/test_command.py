"""`vitbench report` as a process: what goes where, and with which exit code."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.example_comparisons import example_comparison, example_study
from benchmarks.example_records import example_record
from vitbench.records.journal import Journal
from vitbench.records.schema import Header
from vitbench.records.store import Store

COMMAND = [sys.executable, "-m", "vitbench", "report"]


def report(cwd: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    store = Store(tmp_path / "results")
    store.save(example_record(0, iterations=5))
    store.save(example_record(1, iterations=5, model="effvit-b1", status="unsteady", reasons=("too hot",)))
    return tmp_path


def test_records_are_shown_whatever_their_status(directory: Path) -> None:
    done = report(directory)
    assert (done.returncode, done.stderr) == (0, "")
    assert "27.43 ± 0.21" in done.stdout
    assert "unsteady [1]" in done.stdout
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize("form", ["markdown", "csv", "json"])
def test_data_goes_to_standard_output_and_remarks_do_not(directory: Path, form: str) -> None:
    Store(directory / "results").save(example_record(2, iterations=5))
    done = report(directory, "--format", form)
    assert done.returncode == 0
    assert "1 record not shown, a newer one of the same cell is: add --all" in done.stderr
    assert "not shown" not in done.stdout
    assert len(json.loads(report(directory, "--all", "--json").stdout)) == 3


@pytest.fixture
def compared(directory: Path) -> Path:
    """The directory with two runs and a small study in its store."""
    store = Store(directory / "results")
    for comparison in example_study(2):
        store.save(comparison)
    return directory


def test_comparisons_follow_the_runs(compared: Path) -> None:
    done = report(compared)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.index("effvit-b2") < done.stdout.index("softmax against relu")
    assert "Where the time went" not in done.stdout
    assert "Where the time went" in report(compared, "--timings").stdout
    kinds = [item.get("kind", "run") for item in json.loads(report(compared, "--json").stdout)]
    assert kinds == ["run"] * 2 + ["compare"] * 4


def test_filters_hold_for_comparisons_too(compared: Path) -> None:
    Store(compared / "results").save(example_comparison(40, status="unsteady", reasons=("too hot",)))
    assert len(json.loads(report(compared, "--json", "-m", "relu").stdout)) == 4
    assert len(json.loads(report(compared, "--json", "-m", "relu", "--all").stdout)) == 5
    assert len(json.loads(report(compared, "--json", "-m", "relu", "--status", "unsteady").stdout)) == 1
    assert len(json.loads(report(compared, "--json", "-m", "effvit-*").stdout)) == 2
    assert report(compared, "-t", "orin").returncode == 3
    assert "relu, softmax on cpu" in report(compared, "-t", "orin").stderr


def test_simulated_comparisons_are_refused_then_watermarked(tmp_path: Path) -> None:
    Store(tmp_path / "results").save(example_comparison(simulated=True))
    refused = report(tmp_path)
    assert (refused.returncode, refused.stdout) == (3, "")
    assert "1 record of scripted targets not shown: add --simulated" in refused.stderr
    assert "SIMULATED: " in report(tmp_path, "--simulated").stdout


def test_a_page_and_plots_are_written(directory: Path) -> None:
    Store(directory / "results").save(example_comparison())
    done = report(directory, "-m", "relu", "--format", "html", "--output", "r.html", "--plots", "plots")
    assert (done.returncode, done.stdout) == (0, "")
    assert "wrote 4 files of plots to `plots`" in done.stderr
    assert (directory / "r.html").read_text().startswith("<!DOCTYPE html>")
    assert {path.suffix for path in (directory / "plots").iterdir()} == {".png", ".svg"}


def test_an_empty_store_says_what_to_do_next(tmp_path: Path) -> None:
    done = report(tmp_path)
    assert (done.returncode, done.stdout) == (3, "")
    assert "no records in `results`" in done.stderr
    assert "hint: measure something first, for example `vitbench run" in done.stderr
    assert json.loads(report(tmp_path, "--json").stdout) == []


def test_a_filter_that_matches_nothing_names_what_there_is(directory: Path) -> None:
    done = report(directory, "-m", "effvit-b7,nothing-*", "-t", "cpu")
    assert (done.returncode, done.stdout) == (3, "")
    assert "none of the 2 records in `results` matches" in done.stderr
    assert "effvit-b1, effvit-b2 on cpu" in done.stderr


def test_simulated_records_are_refused_then_watermarked(tmp_path: Path) -> None:
    Store(tmp_path / "results").save(example_record(iterations=5, target="sim", simulated=True))
    refused = report(tmp_path)
    assert (refused.returncode, refused.stdout) == (3, "")
    assert "1 record of scripted targets not shown: add --simulated" in refused.stderr
    shown = report(tmp_path, "--simulated")
    assert shown.returncode == 0
    assert shown.stdout.startswith("SIMULATED")


def test_files_that_cannot_be_read_are_named_and_the_rest_is_shown(directory: Path) -> None:
    (directory / "results" / "notes.json").write_text("{}")
    (directory / "results" / "cut.json").write_text('{"schema_version": 1, "id"')
    done = report(directory)
    assert done.returncode == 2
    assert "27.43 ± 0.21" in done.stdout
    assert "cannot read `cut.json`: not whole JSON" in done.stderr
    assert "cannot read `notes.json`: not a vitbench record" in done.stderr
    assert "Traceback" not in done.stderr


def test_very_many_unreadable_files_are_counted(directory: Path) -> None:
    for number in range(30):
        (directory / "results" / f"{number:02}.json").touch()
    assert "... and 20 more files that cannot be read" in report(directory).stderr


def test_an_interrupted_run_is_told(directory: Path) -> None:
    record = example_record(5, iterations=5)
    header = Header(**{name: getattr(record, name) for name in Header.model_fields})
    run = Journal.start(Store(directory / "results"), header)
    assert "interrupted" not in report(directory).stderr
    assert run._lock is not None
    os.close(run._lock)
    done = report(directory)
    assert "a run that was interrupted left finished blocks in" in done.stderr
    assert record.id in done.stderr
    assert done.returncode == 0


def test_output_goes_to_a_file_whole_or_not_at_all(directory: Path) -> None:
    done = report(directory, "--format", "json", "--output", "report.json")
    assert (done.returncode, done.stdout) == (0, "")
    assert len(json.loads((directory / "report.json").read_text())) == 2
    refused = report(directory, "--output", "absent/report.txt")
    assert refused.returncode == 2
    assert "error: cannot write `absent/report.txt`" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "pdf"], "unknown format `pdf`"),
        (["--format", "csv", "--json"], "--json contradicts --format csv"),
        (["--status", "good"], "unknown status `good`"),
        (["--since", "soon"], "cannot read the time `soon`"),
        (["--results", "file"], "cannot read the results at `file`"),
        (["--results", "nonsense://x"], "cannot open the results at `nonsense://x`"),
    ],
)
def test_usage_errors(directory: Path, arguments: list[str], message: str) -> None:
    (directory / "file").touch()
    done = report(directory, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"error: {message}" in done.stderr
    assert "\nhint: " in done.stderr
    assert "Traceback" not in done.stderr


def test_an_ascii_locale_is_no_reason_to_fail(directory: Path) -> None:
    for form in ("table", "markdown", "csv", "json"):
        done = report(directory, "--format", form, PYTHONIOENCODING="ascii")
        assert (done.returncode, done.stderr) == (0, ""), form
    assert "27.43 +/- 0.21" in report(directory, PYTHONIOENCODING="ascii").stdout


@pytest.mark.parametrize("form", ["table", "csv"])
def test_a_reader_that_leaves_is_no_error(directory: Path, form: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*COMMAND, "--format", form],
        cwd=directory,
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_full_disk_behind_standard_output_is_a_usage_error(directory: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            COMMAND, cwd=directory, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 2
    assert "error: cannot write to standard output: No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


def on_terminal(directory: Path, **environment: str) -> str:
    """What `vitbench report` prints on a terminal of 100 columns."""
    controller, terminal = pty.openpty()
    surroundings = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "COLUMNS")}
    with subprocess.Popen(
        COMMAND,
        cwd=directory,
        env=surroundings | {"TERM": "xterm", "COLUMNS": "100"} | environment,
        stdin=subprocess.DEVNULL,
        stdout=terminal,
        stderr=terminal,
    ) as process:
        os.close(terminal)
        text = b""
        while True:
            try:
                piece = os.read(controller, 1 << 16)
            except OSError:  # Linux ends a pseudo-terminal with EIO
                break
            if not piece:
                break
            text += piece
    os.close(controller)
    assert process.returncode == 0
    return text.decode().replace("\r\n", "\n")


def test_a_terminal_gets_colour_unless_it_declines(directory: Path) -> None:
    coloured = on_terminal(directory)
    assert "\x1b[32mvalid" in coloured
    assert all(len(line) < 140 for line in coloured.splitlines())
    for refusal in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert "\x1b" not in on_terminal(directory, **refusal)


def test_columns_sets_the_width_of_a_pipe(directory: Path) -> None:
    narrow, wide = (report(directory, COLUMNS=width).stdout.splitlines() for width in ("60", "200"))
    assert max(map(len, narrow)) <= 60
    assert max(map(len, wide)) > 100


def test_reporting_imports_nothing_heavy(directory: Path) -> None:
    program = (
        "import sys; sys.argv = ['vitbench', 'report']\n"
        "from vitbench.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = ('torch', 'onnx', 'onnxruntime', 'scipy', 'pandas', 'numpy')\n"
        "print([name for name in heavy if name in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=directory, capture_output=True, text=True, check=True
    )
    assert done.stderr == "[]\n"
