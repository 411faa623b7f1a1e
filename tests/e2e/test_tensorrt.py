"""`vitbench run` on a target whose Python has a made-up GPU and TensorRT: the whole way but the hardware."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.cli import Done, vitbench
from tests.support.tensorrt_stand_in.interpreter import make_python
from vitbench.records.schema import EnginePart, Record
from vitbench.records.store import Store

MODEL = "effvit-b0:64x64"
# One whose builder chooses types by itself, so that the islands of a graph must be held.
VERSION = "8.6.1"
TARGET = """\
name = "bench"
title = "a made-up GPU"
transport = "local"
runtime = "tensorrt"
precision = "fp16"
python = "{python}"

[options]
cuda_graph = true
engines = "{engines}"
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_python(tmp_path_factory.mktemp("python") / "python")


@pytest.fixture
def place(tmp_path: Path, python: Path) -> Path:
    """A directory with a target of its own."""
    (tmp_path / "bench.toml").write_text(TARGET.format(python=python, engines=tmp_path / "engines"))
    return tmp_path


def run(place: Path, *more: str, **environment: str) -> Done:
    command = ("run", "-m", MODEL, "-t", "bench.toml", "--quick", "--allow-inconclusive")
    return vitbench(*command, *more, cwd=place, VITBENCH_STAND_IN_TENSORRT=VERSION, **environment)


def recorded(place: Path) -> list[Record]:
    documents, problems = Store(str(place / "results")).records()
    assert not problems
    return [document for document in documents if isinstance(document, Record)]


def engine_of(record: Record) -> EnginePart:
    assert record.artifact is not None
    assert record.artifact.engine is not None
    return record.artifact.engine


def test_from_a_name_to_a_figure_that_is_no_measurement(place: Path) -> None:
    done = run(place)
    assert done.code == 0, done.err
    assert "built engine " in done.err
    assert "SIMULATED" in done.out
    (record,) = recorded(place)
    assert record.simulated
    assert record.parity is not None
    assert record.parity.passed
    assert record.target.device == "Stand-in GPU"
    assert (record.protocol.cuda_graph, record.protocol.transfers) == (True, "timed")
    engine = engine_of(record)
    assert (engine.origin, engine.typing, engine.tf32, engine.version) == ("built", "weak", False, VERSION)
    assert engine.held > 10
    assert engine.flags == ("FP16", "OBEY_PRECISION_CONSTRAINTS")
    assert record.artifact is not None
    assert record.artifact.opset == 17
    samples = record.blocks[0].samples
    assert len(set(samples.h2d_ns)) == 1, "the made-up GPU takes as long for every copy of an image"
    assert record.estimate is not None
    parts = [record.estimate.h2d_ms, record.estimate.compute_ms, record.estimate.d2h_ms]
    assert record.estimate.latency_paper_ms == pytest.approx(sum(part or 0 for part in parts))
    assert record.estimate.latency_ms != record.estimate.latency_paper_ms

    again = run(place, "--blocks", "1")
    assert "reused engine " in again.err
    assert engine_of(recorded(place)[-1]).sha256 == engine.sha256


def test_what_goes_wrong_on_the_device_is_told(place: Path) -> None:
    crashed = run(place, VITBENCH_STAND_IN_FAILS="build-crash")
    assert crashed.code == 5
    assert "TensorRT builder on `bench`: the build of TensorRT was killed by signal 6" in crashed.err
    assert "the builder says a last word" in crashed.err
    absent = run(place, VITBENCH_STAND_IN_FAILS="no-gpu")
    assert absent.code == 5
    assert "TensorRT does not run on bench: the NVIDIA driver finds no GPU" in absent.err
    assert "hint: `nvidia-smi`, on a Jetson `tegrastats`, shows" in absent.err
    assert "`vitbench targets` lists where else" in absent.err
    assert recorded(place) == []


def test_without_the_board_a_graph_is_made_and_checked_here(tmp_path: Path) -> None:
    board = f"""\
name = "board"
title = "a board that is not there"
transport = "ssh"
runtime = "tensorrt"
precision = "fp16"

[options]
tensorrt = "{VERSION}"
"""
    (tmp_path / "board.toml").write_text(board)
    done = vitbench("export", "-m", MODEL, "-t", "board.toml", "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    told = done.json()
    assert told["parity"]["passed"]
    assert told["parity"]["reason"].startswith("checked by emulating half precision on the host")
    assert (told["format"], told["opset"]) == ("onnx17", 17)
