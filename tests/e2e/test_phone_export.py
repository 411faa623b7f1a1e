"""An artifact for a phone needs no phone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.cli import vitbench


@pytest.mark.tflite
def test_an_artifact_for_a_phone_is_checked_on_this_machine(tmp_path: Path) -> None:
    exported = (
        "export",
        "--model",
        "attention-4x16:7x7",
        "--target",
        "snapdragon",
        "--output",
        "out",
        "--json",
    )
    done = vitbench(*exported, cwd=tmp_path)
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert told["parity"]["passed"]
    assert told["graph"]["partitions"] == 1
    assert (tmp_path / "out" / "model.tflite").stat().st_size == told["bytes"]
