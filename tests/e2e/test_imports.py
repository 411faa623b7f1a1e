"""Commands that only read must start fast: they import none of the heavy packages."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"torch", "onnx", "onnxscript", "onnxruntime", "scipy"}
PROBE = """
import json, sys
sys.argv = ["vitbench", *json.loads(sys.argv[1])]
from vitbench.cli.main import main
try:
    main()
except SystemExit as end:
    code = end.code
print(json.dumps({"code": code or 0, "modules": sorted({name.partition(".")[0] for name in sys.modules})}))
"""


def modules_of(arguments: list[str], directory: Path) -> set[str]:
    """Top-level modules that one call of the command line has imported."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE, json.dumps(arguments)],
        cwd=directory,
        capture_output=True,
        text=True,
        check=True,
    )
    seen = json.loads(done.stdout.splitlines()[-1])
    # `report` of an empty store is 3: nothing was measured.
    assert seen["code"] == (3 if arguments == ["report"] else 0), done.stderr
    return set(seen["modules"])


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["run", "--help"],
        ["report", "--help"],
        ["models"],
        ["targets"],
        ["targets", "show", "cpu"],
        ["report"],
        ["cache", "list"],
    ],
)
def test_no_heavy_import(arguments: list[str], tmp_path: Path) -> None:
    assert not modules_of(arguments, tmp_path) & HEAVY


def test_help_needs_no_pandas_either(tmp_path: Path) -> None:
    assert not modules_of(["--help"], tmp_path) & {"pandas", "numpy", "pydantic"}
