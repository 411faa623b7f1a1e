"""Bad input: each with its message and exit code, as a new user would meet it."""

import pickle
from pathlib import Path

import pytest

from tests.e2e.cli import in_process, vitbench

SIM = ("-t", "sim")


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["-m", "effvit-b9", *SIM], "unknown model 'effvit-b9'", "did you mean `effvit-b"),
        (["-m", "resnet50", *SIM], "unknown model 'resnet50'", "vitbench models"),
        (["-m", "effvit-b0", "-t", "cpuu"], "unknown target 'cpuu'", "did you mean `cpu`"),
        (["-m", "effvit-b0", *SIM, "--attention", "sofmax"], "'sofmax'", "did you mean `softmax`"),
        (
            ["-m", "effvit-b0+softmax", *SIM, "--attention", "relu"],
            "--attention contradicts",
            "drop --attention",
        ),
        (["-m", "effvit-b0", *SIM, "-r", "0"], "resolution '0' is not positive", "HEIGHTxWIDTH"),
        (["-m", "effvit-b0", *SIM, "-r", "-224"], "resolution '-224' is not positive", "HEIGHTxWIDTH"),
        (["-m", "effvit-b0", *SIM, "-r", "big"], "'big' is not a resolution", "HEIGHTxWIDTH"),
        (["-m", "effvit-b0", *SIM, "-r", "225"], "not a multiple of its stride 32", "the nearest is 224x224"),
        (["-m", "effvit-b0", "-t", "cpu", "-r", "100000x100000"], "GB", "smaller"),
        (["-m", "effvit-b0", "-t", "cpu", "-r", "99999999968"], "effvit-b0", "smaller"),
        (["-m", "effvit-b0", "-t", "cpu", "-b", "32000000"], "GB", "smaller"),
        (["-m", "effvit-b0", *SIM, "-b", "0"], "batch '0' is not a positive integer", "--batch"),
        (["-m", "effvit-b0", *SIM, "-b", "-1"], "batch '-1' is not a positive integer", "--batch"),
        (["-m", "effvit-b0", *SIM, "-b", "auto"], "--batch auto", "--metric throughput"),
        (["-m", "effvit-b0", *SIM, "--ci-width", "wide"], "'wide' is not a width", "1%"),
        (["-m", "effvit-b0", *SIM, "--ci-width", "0"], "width", "1%"),
        (
            ["-m", "effvit-b0", "-t", "cpu", "--precision", "fp16"],
            "fp16 on cpu would mean nothing",
            "drop --precision",
        ),
        (["-m", ",", *SIM], "no model named", "--model"),
        (["-m", "effvit-b0", *SIM, "--results", ""], "--results names no place", "a directory"),
        (["-m", "effvit-b0", *SIM, "--weights", "/etc/hostname"], "runs no network", "drop --weights"),
    ],
)
def test_options_that_do_not_fit(arguments: list[str], message: str, hint: str, tmp_path: Path) -> None:
    done = in_process("run", *arguments, cwd=tmp_path)
    assert done.code == 2, done.err
    assert message in done.err
    assert hint in done.err
    assert "Traceback" not in done.err
    assert done.out == ""


def test_more_threads_than_cpus(tmp_path: Path) -> None:
    done = in_process("run", "-m", "effvit-b0:64", "-t", "cpu", "--threads", "1000", cwd=tmp_path)
    assert done.code == 2
    assert "1000 threads on cpu" in done.err


def test_a_usage_error_keeps_the_table_of_what_was_measured(tmp_path: Path) -> None:
    cells = ("-m", "effvit-b0:64", "-t", "sim,cpu", "-b", "1,32000000")
    done = vitbench("run", *cells, "--quick", "--json", cwd=tmp_path)
    assert done.code == 3
    assert {(row["target"], row["batch"]) for row in done.json()} >= {("sim", 1), ("cpu", 1)}
    assert "effvit-b0:64x64 b32000000 on cpu: error:" in done.err


def test_equal_cells_are_measured_once(tmp_path: Path) -> None:
    names = "effvit-b0:64,effvit-b0+relu:64,effvit-b0@deploy:64"
    done = in_process("run", "-m", names, "-t", "sim,sim", "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    assert len(done.json()) == 1


def test_two_targets_of_one_name(tmp_path: Path) -> None:
    script = 'title = "t"\ntransport = "sim"\nruntime = "sim"\n[sim]\nlatency_ms = '
    for name, latency in (("a", "1.0"), ("b", "2.0")):
        (tmp_path / f"{name}.toml").write_text(f'name = "twin"\n{script}{latency}\n')
    done = in_process("run", "-m", "effvit-b0", "-t", "a.toml,b.toml", cwd=tmp_path)
    assert done.code == 2
    assert "both named 'twin'" in done.err


def test_malformed_target_file(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('name = "mine"\nthreads = "many"\n[[[\n')
    done = in_process("run", "-m", "effvit-b0", "-t", "mine.toml", cwd=tmp_path)
    assert done.code == 2
    assert "mine.toml is not valid TOML" in done.err
    assert "line 3" in done.err


def test_malformed_family_in_the_working_directory(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "mine.toml").write_text('family = "mine"\nstride = "two"\n')
    done = in_process("models", cwd=tmp_path)
    assert done.code == 2
    assert "mine.toml does not fit" in done.err
    assert "stride: input should be a valid integer" in done.err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot read weights"),
        (b"", "w.pt"),
        (b"PK\x03\x04 truncated", "w.pt"),
        (pickle.dumps({"a": 1}), "w.pt"),
        (pickle.dumps(Path("/")), "w.pt"),
    ],
    ids=["absent", "empty", "truncated", "pickle of numbers", "pickle of an object"],
)
def test_weights_that_are_no_checkpoint(content: bytes | None, message: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "w.pt").write_bytes(content)
    done = in_process("run", "-m", "effvit-b0", "-t", "cpu", "--weights", "w.pt", cwd=tmp_path)
    assert done.code == 2, done.err
    assert message in done.err
    assert "Traceback" not in done.err


def test_results_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file, not a directory")
    done = in_process("run", "-m", "effvit-b0", *SIM, "--results", "taken", cwd=tmp_path)
    assert done.code == 2
    assert "taken" in done.err
    assert "--results" in done.err


def test_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file, not a directory")
    done = in_process(
        "run", "-m", "effvit-b0", "-t", "cpu", cwd=tmp_path, VITBENCH_CACHE=str(tmp_path / "taken")
    )
    assert done.code == 2
    assert "VITBENCH_CACHE" in done.err


def test_runtime_that_crashes_while_loading(tmp_path: Path) -> None:
    crash = tmp_path / "crash.toml"
    crash.write_text(
        'name = "crash"\ntitle = "dies at load"\ntransport = "sim"\nruntime = "sim"\n'
        "[sim]\nlatency_ms = 1.0\ncrash_at_load = true\n"
    )
    done = in_process("run", "-m", "effvit-b0", "-t", "crash.toml", cwd=tmp_path)
    assert done.code == 5, done.err
    assert "crash" in done.err
    assert "Traceback" not in done.err


def test_transport_and_runtime_that_nobody_offers(tmp_path: Path) -> None:
    for field, value, message in [
        ("transport", "pigeon", "reached by pigeon, which this version cannot do"),
        ("runtime", "onnxruntme", "wants runtime 'onnxruntme', which this version does not have"),
    ]:
        fields = {"name": "odd", "title": "odd", "transport": "local", "runtime": "onnxruntime", field: value}
        lines = [f'{name} = "{text}"' for name, text in fields.items()]
        (tmp_path / "odd.toml").write_text("\n".join(lines))
        done = in_process("run", "-m", "effvit-b0", "-t", "odd.toml", cwd=tmp_path)
        assert done.code == 2
        assert message in done.err


def test_unknown_option_and_command(tmp_path: Path) -> None:
    assert vitbench("run", "--modle", "x", cwd=tmp_path).code == 2
    assert vitbench("rnu", cwd=tmp_path).code == 2
