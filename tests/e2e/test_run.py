"""`vitbench run` from a name to a record and a table."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

import vitbench as package
from tests.e2e.cli import Done, in_process, vitbench

QUICK = ("-m", "effvit-b0:64", "-t", "cpu", "--quick", "--allow-inconclusive")


def records(directory: Path) -> list[dict[str, Any]]:
    """Every record of a results directory, by time."""
    return [json.loads(path.read_text()) for path in sorted((directory / "results").glob("[!.]*.json"))]


def sim_target(directory: Path, **script: object) -> str:
    """Write a scripted target and return its file name."""
    lines = ["latency_ms = 2.0", *(f"{name} = {json.dumps(value)}" for name, value in script.items())]
    text = 'name = "scripted"\ntitle = "for a test"\ntransport = "sim"\nruntime = "sim"\n[sim]\n'
    (directory / "scripted.toml").write_text(text + "\n".join(lines) + "\n")
    return "scripted.toml"


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Done]:
    """One quick run of B0 on this machine."""
    directory = tmp_path_factory.mktemp("measured")
    return directory, vitbench("run", *QUICK, cwd=directory, VITBENCH_CACHE=str(directory / "cache"))


def test_table_shows_latency_interval_macs_parity_and_status(measured: tuple[Path, Done]) -> None:
    _, done = measured
    assert done.code == 0, done.err
    for text in ("effvit-b0", "64x64", "cpu", "ms", "MACs", "inconclusive", "quick"):
        assert text in done.out
    assert "built artifact" in done.err


def test_record_holds_everything(measured: tuple[Path, Done]) -> None:
    (record,) = records(measured[0])
    assert record["status"] == "inconclusive"
    assert "a quick run is never valid" in record["reasons"]
    assert record["parity"]["passed"]
    assert record["parity"]["inputs"] == 17
    assert record["parity"]["normaliser_min"] == 0.0
    assert record["counts"]["macs"] > record["counts"]["macs_attention"] > 0
    assert record["artifact"]["formulation"].keys() == {"relu"}
    assert record["protocol"]["transfers"] == "timed"
    assert record["protocol"]["zero_copy"] is True
    assert record["environment"]["facts"]["cpu_model"]
    assert record["environment"]["libraries"]["onnxruntime"] == record["target"]["runtime_version"]
    assert len(record["blocks"]) == 2
    for block in record["blocks"]:
        assert len(block["samples"]["total_ns"]) >= 5
        assert len(block["warmup"]["total_ns"]) >= 3
    estimate = record["estimate"]
    assert estimate["within_process_only"] is True
    assert estimate["load_ms"] > 0
    assert estimate["first_inference_ms"] > 0
    assert estimate["peak_memory_mb"] > 10
    parts = estimate["h2d_ms"] + estimate["compute_ms"] + estimate["d2h_ms"]
    assert parts <= estimate["latency_ms"] * 1.02


def test_second_run_reuses_the_artifact_and_says_so(measured: tuple[Path, Done]) -> None:
    directory, _ = measured
    cache = {"VITBENCH_CACHE": str(directory / "cache")}
    done = vitbench("run", *QUICK, "--blocks", "1", "--json", cwd=directory, **cache)
    assert done.code == 0, done.err
    assert "reused artifact" in done.err
    (row,) = done.json()
    assert row["model"] == "effvit-b0"
    first, second = records(directory)
    assert (first["artifact"]["cache"], second["artifact"]["cache"]) == ("built", "reused")
    assert first["artifact"]["digest"] == second["artifact"]["digest"]


def test_no_cache_builds_anew(measured: tuple[Path, Done]) -> None:
    directory, _ = measured
    cache = {"VITBENCH_CACHE": str(directory / "cache")}
    done = vitbench("run", *QUICK, "--blocks", "1", "--no-cache", cwd=directory, **cache)
    assert done.code == 0, done.err
    assert "built artifact" in done.err


def test_a_changed_line_of_the_attention_invalidates_the_artifact(tmp_path: Path) -> None:
    root = Path(package.__file__).parent
    copy = tmp_path / "checkout"
    shutil.copytree(root, copy / "vitbench", ignore=shutil.ignore_patterns("__pycache__"))
    for data in ("models", "targets"):
        shutil.copytree(root.parent / data, copy / data)
    environment = {"PYTHONPATH": str(copy), "VITBENCH_CACHE": str(tmp_path / "cache")}

    def notes() -> str:
        done = vitbench("export", "-m", "attention-4x16:7x7", "-t", "cpu", cwd=copy, **environment)
        assert done.code == 0, done.err
        return done.err

    assert "built artifact" in notes()
    assert "reused artifact" in notes()
    attention = copy / "vitbench" / "zoo" / "attention.py"
    attention.write_text(attention.read_text() + "\n# a changed line\n")
    assert "built artifact" in notes()


def test_damaged_artifact_is_detected_and_rebuilt(measured: tuple[Path, Done], tmp_path: Path) -> None:
    shutil.copytree(measured[0] / "cache", tmp_path / "cache")
    cache = {"VITBENCH_CACHE": str(tmp_path / "cache")}
    (model,) = (tmp_path / "cache").rglob("*.onnx")
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 1
    model.write_bytes(data)
    verified = vitbench("cache", "verify", cwd=tmp_path, **cache)
    assert verified.code == 3
    assert "altered" in verified.out
    done = vitbench("run", *QUICK, "--blocks", "1", cwd=tmp_path, **cache)
    assert done.code == 0, done.err
    assert "rebuilt artifact" in done.err
    assert vitbench("cache", "verify", cwd=tmp_path, **cache).code == 0
    assert vitbench("cache", "prune", "--all", cwd=tmp_path, **cache).code == 0
    assert not list((tmp_path / "cache").rglob("*.onnx"))


def test_matrix_has_a_row_for_every_cell(tmp_path: Path) -> None:
    done = in_process(
        "run",
        "-m",
        "effvit-b0,effvit-b1+softmax",
        "-t",
        "sim",
        "-r",
        "224,256x512",
        "-b",
        "1,4",
        "--json",
        *("--blocks", "1", "--allow-inconclusive"),
        cwd=tmp_path,
    )
    assert done.code == 0, done.err
    cells = {(row["model"], row["height"], row["width"], row["batch"]) for row in done.json()}
    assert cells == {
        (model, *size, batch)
        for model in ("effvit-b0", "effvit-b1+softmax")
        for size in ((224, 224), (256, 512))
        for batch in (1, 4)
    }
    assert len(records(tmp_path)) == 8


def test_scripted_target_is_valid_simulated_and_marked(tmp_path: Path) -> None:
    done = in_process("run", "-m", "effvit-b2", "-t", "sim", cwd=tmp_path)
    assert done.code == 0, done.err
    assert "simulated" in done.out.lower()
    (record,) = records(tmp_path)
    assert record["simulated"] is True
    assert record["status"] == "valid"
    assert record["estimate"]["latency_ms"] == pytest.approx(9.7, rel=0.02)
    assert (
        record["estimate"]["ci_low_ms"] < record["estimate"]["latency_ms"] < record["estimate"]["ci_high_ms"]
    )
    hidden = in_process("report", cwd=tmp_path)
    assert "effvit-b2" not in hidden.out
    assert "effvit-b2" in in_process("report", "--simulated", cwd=tmp_path).out


def test_lost_link_is_survived(tmp_path: Path) -> None:
    target = sim_target(tmp_path, lose_link_in_block=1, lose_link_after=50)
    done = in_process("run", "-m", "effvit-b0", "-t", target, cwd=tmp_path)
    assert done.code == 0, done.err
    (record,) = records(tmp_path)
    assert any("link was lost" in reason for reason in record["reasons"])
    assert len(record["blocks"]) == 5


def test_throttling_blocks_make_it_inconclusive(tmp_path: Path) -> None:
    target = sim_target(tmp_path, throttle_after_s=1.0, throttle_factor=2.0)
    done = in_process("run", "-m", "effvit-b0", "-t", target, cwd=tmp_path)
    assert done.code == 3, done.err
    (record,) = records(tmp_path)
    assert record["status"] == "inconclusive"
    assert all("throttl" in block["invalid"] for block in record["blocks"])


def test_process_that_dies_every_time_is_a_tool_error_and_the_matrix_goes_on(tmp_path: Path) -> None:
    target = sim_target(tmp_path, crash_in_block=0)
    alone = in_process("run", "-m", "effvit-b0", "-t", target, "--blocks", "1", cwd=tmp_path)
    assert alone.code == 5
    assert "scripted crash" in alone.err
    both = in_process(
        "run", "-m", "effvit-b0", "-t", f"{target},sim", "--blocks", "1", "--json", cwd=tmp_path
    )
    assert both.code == 5
    assert [row["target"] for row in both.json()] == ["sim"]


def test_throughput_searches_for_its_batch(tmp_path: Path) -> None:
    done = in_process(
        *("run", "-m", "attention-4x16:7x7", "-t", "sim", "--metric", "throughput", "--batch", "auto"),
        *("--quick", "--blocks", "1", "--allow-inconclusive", "--json"),
        cwd=tmp_path,
    )
    assert done.code == 0, done.err
    rows = done.json()
    # The scripted device takes as long for many images as for one, so every doubling pays.
    assert [row["batch"] for row in rows] == [2**step for step in range(13)]
    assert rows[-1]["throughput_img_s"] == pytest.approx(4096 * rows[0]["throughput_img_s"], rel=0.1)


def test_throughput_of_batches_on_this_machine(tmp_path: Path) -> None:
    done = vitbench(
        *("run", "-m", "attention-4x16:7x7", "-t", "cpu", "--metric", "throughput", "--batch", "1,4"),
        *("--quick", "--allow-inconclusive", "--json"),
        cwd=tmp_path,
    )
    assert done.code == 0, done.err
    for record, batch in zip(records(tmp_path), (1, 4), strict=True):
        estimate = record["estimate"]
        assert record["workload"]["batch"] == batch
        assert record["protocol"]["metric"] == "throughput"
        totals = [block["samples"]["total_ns"] for block in record["blocks"]]
        rates = [1e9 * batch * len(total_ns) / sum(total_ns) for total_ns in totals]
        assert min(rates) <= estimate["throughput_img_s"] <= max(rates)


def test_export_writes_a_checked_model(tmp_path: Path) -> None:
    import onnx

    done = vitbench("export", "-m", "effvit-b0+softmax:64", "-o", "out", "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    data = done.json()
    assert data["parity"]["passed"]
    onnx.checker.check_model(str(tmp_path / data["model_file"]), full_check=True)
    refused = vitbench("export", "-m", "effvit-b0", "-t", "sim", cwd=tmp_path)
    assert refused.code == 2
    assert "nothing to export" in refused.err


def test_models_show_prints_exact_counts(tmp_path: Path) -> None:
    done = in_process("models", "show", "effvit-b2", "--resolution", "256", "--json", cwd=tmp_path)
    data = done.json()
    counts = [data[name] for name in ("params", "params_deploy", "macs", "macs_attention")]
    assert counts == [24330712, 24317440, 2067533824, 45416448]
    text = in_process("models", "show", "effvit-b2", "--resolution", "256", cwd=tmp_path).out
    assert "2,067,533,824" in text
    assert "applications/efficientvit_cls/README.md" in text


def test_lists(tmp_path: Path) -> None:
    models = in_process("models", "--json", cwd=tmp_path).json()
    assert {"effvit-b0", "effvit-l3", "effvit-l0-backbone"} <= {entry["name"] for entry in models}
    targets = in_process("targets", "--json", cwd=tmp_path).json()
    assert {"cpu", "sim"} <= {entry["name"] for entry in targets}
    assert "transport" in in_process("targets", "show", "sim", cwd=tmp_path).out


def test_output_is_plain_where_nobody_looks(tmp_path: Path) -> None:
    done = vitbench("run", "-m", "effvit-b0", "-t", "sim", cwd=tmp_path, NO_COLOR="1")
    assert "\x1b" not in done.out + done.err


def test_version(tmp_path: Path) -> None:
    assert vitbench("--version", cwd=tmp_path).out == f"vitbench {package.__version__}\n"
    assert sys.version_info >= (3, 11)
