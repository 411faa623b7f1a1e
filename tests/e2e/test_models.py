"""What `vitbench models` prints, and networks by every kind of name, as processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.cli import in_process, vitbench
from vitbench.catalog.files import builtin_directory
from vitbench.records.document import parse

STAND_IN = Path(__file__).parents[1] / "support" / "stand_in"
# What a process that forks hands on counts in its resource usage; this figure is of the new program alone.
PEAK_MEMORY = """
import atexit, pathlib, sys
from vitbench.cli.main import main
def tell():
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    print(next(line for line in lines if line.startswith("VmHWM")), file=sys.stderr)
atexit.register(tell)
sys.argv[0] = "vitbench"
main()
"""
NET = """
from torch import nn
print("said by the file")
def build():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
    net.input_shape = (3, 16, 8)
    return net
"""


def test_show_says_that_the_reference_is_equal_and_why_others_differ(tmp_path: Path) -> None:
    done = in_process("models", "show", "segformer-b1-cityscapes:512x1024", cwd=tmp_path, COLUMNS="80")
    assert done.code == 0, done.err
    assert max(map(len, done.out.splitlines())) <= 80
    folded = " ".join(done.out.split())
    assert "reference implementation: equal (params, params_deploy, macs, macs_attention" in folded
    assert "head of 150 classes" in folded
    assert "34,817,966,080" in done.out


def test_show_of_a_large_network_takes_little_memory(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PEAK_MEMORY, "models", "show", "sam-vit-h", "--json"],
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert '"params": 637026048' in done.stdout
    # Its weights alone are 2.4 GiB.
    peak_kb = int(done.stderr.split()[-2])
    assert 50_000 < peak_kb < 1_000_000


def test_table_of_a_family_is_checked_against_the_reference(tmp_path: Path) -> None:
    source = (builtin_directory("models") / "cga.toml").read_text()
    alone = source[: source.index("[variants.m1]")]
    own = tmp_path / "models" / "cga.toml"
    own.parent.mkdir()
    own.write_text("override = true\n" + alone)
    done = vitbench("models", "table", "--family", "cga", "--check", cwd=tmp_path)
    assert done.code == 0, done.err
    assert done.out.splitlines()[1].split()[:7] == [
        *("cga-m0", "224x224", "2,349,436", "2,334,916", "79,193,600", "2,347,904", "equal")
    ]
    assert "1 of them are equal in every count" in done.out
    changed = alone.replace("classes = 1000", "classes = 999")
    assert changed != alone
    own.write_text("override = true\n" + changed)
    done = vitbench("models", "table", "--family", "cga", "--check", "--json", cwd=tmp_path)
    assert done.code == 1
    (row,) = done.json()
    assert row["reference"]["differences"]["macs"] == row["macs"] - 79193600 < 0


def test_usage_errors(tmp_path: Path) -> None:
    for arguments, message in [
        (["models", "table", "--family", "cgaa"], "unknown family 'cgaa'"),
        (["models", "table", "--json", "--csv"], "--json contradicts --csv"),
        (["models", "show", "effvit-b1", "--upsample", "bilinear"], "has no way of upsampling"),
        (["export", "-m", "effvit-b1", "--part", "decoder"], "has no part 'decoder'"),
        (["run", "-m", "effvit-b1-cityscapes+bilinear", "-t", "sim", "--upsample", "bicubic"], "contradicts"),
        (["models", "show", "timm:no_such_network"], "timm"),
    ]:
        done = in_process(*arguments, cwd=tmp_path)
        assert done.code == 2, done.err
        assert message in done.err


def test_parts_and_upsampling_are_recorded(tmp_path: Path) -> None:
    done = in_process(
        *("run", "-m", "effvit-b1-cityscapes", "-t", "sim", "--upsample", "bilinear", "--json"), cwd=tmp_path
    )
    assert done.code == 0, done.err
    (row,) = done.json()
    assert (row["model"], row["upsample"]) == ("effvit-b1-cityscapes+bilinear", "bilinear")
    (path,) = (tmp_path / "results").rglob("*effvit*.json")
    record = parse(path.read_bytes())
    assert record.workload.upsample == "bilinear"
    assert (
        parse(path.read_bytes().replace(b'"upsample": "bilinear"', b'"upsample": null')).workload.upsample
        is None
    )
    shown = in_process("models", "show", "effvit-sam-l0", "--part", "decoder", "--json", cwd=tmp_path).json()
    assert (shown["name"], shown["macs"]) == ("effvit-sam-l0-decoder", 1812351488)


@pytest.mark.parametrize("case", ["timm", "py"])
def test_networks_from_elsewhere(case: str, tmp_path: Path) -> None:
    (tmp_path / "My Net.py").write_text(NET)
    name = {"timm": "timm:fixed_tiny", "py": "py:My Net.py:build"}[case]
    done = vitbench("export", "-m", name, "-o", "out", "--json", cwd=tmp_path, PYTHONPATH=str(STAND_IN))
    assert done.code == 0, done.err
    data = done.json()
    assert data["parity"]["passed"]
    shown = vitbench("models", "show", name, "--json", cwd=tmp_path, PYTHONPATH=str(STAND_IN)).json()
    assert (shown["name"], shown["resolution"]) == (name, [48, 32] if case == "timm" else [16, 8])
    graph = vitbench("models", "show", f"onnx:{data['model_file']}", "--json", cwd=tmp_path).json()
    assert graph["macs"] == shown["macs"] > 0
