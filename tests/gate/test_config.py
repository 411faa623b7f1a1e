"""gate.toml: what is read, what covers a cell, what is refused."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from vitbench.errors import UsageError
from vitbench.gate.config import Limits, limits_of, matches, parse_share, read_config, unmatched, waivers_of

B0 = ("effvit-b0", (224, 224), "cpu")
FULL = """\
[gate]
baseline = "nightly"
max_regression = "4%"
pairs = 12

[[cells]]
match = "effvit-b*"
max_regression = 0.05

[[cells]]
match = "effvit-b0:224"
target = "cpu*"
pairs = 20
max_memory_growth = "25%"

[[waivers]]
match = "segformer*"
gates = ["params", "time"]
reason = "a new head"
expires = 2027-03-31
"""


def read(directory: Path, text: str) -> object:
    path = directory / "gate.toml"
    path.write_text(text)
    return read_config(path)


def test_everything(tmp_path: Path) -> None:
    (tmp_path / "gate.toml").write_text(FULL)
    config = read_config(tmp_path / "gate.toml")
    assert config.gate.baseline == "nightly"
    assert limits_of(config, *B0, "local") == Limits(0.05, 0.25, 20)
    assert limits_of(config, "effvit-b0", (512, 512), "cpu", "local") == Limits(0.05, 0.10, 12)
    assert limits_of(config, "cga-m0", (224, 224), "cpu", "local") == Limits(0.04, 0.10, 12)
    (waiver,) = waivers_of(config, "segformer-b0", (512, 512), "orin")
    assert (waiver.gates, waiver.expires) == (("params", "time"), date(2027, 3, 31))
    assert waivers_of(config, *B0) == ()
    assert unmatched(config, [B0]) == [
        '[[waivers]] match = "segformer*" covers no cell of this gate: look for a misspelling'
    ]


def test_a_table_that_covers_nothing_is_told_whole(tmp_path: Path) -> None:
    """The model is right here, so its target must be seen."""
    (tmp_path / "gate.toml").write_text('[[cells]]\nmatch = "effvit-b*"\ntarget = "cpuu"\n')
    (told,) = unmatched(read_config(tmp_path / "gate.toml"), [B0])
    assert told.startswith('[[cells]] match = "effvit-b*", target = "cpuu" covers no cell')


def test_defaults_follow_the_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = read_config(None)
    assert limits_of(config, *B0, "local") == Limits(0.03, 0.10, 10)
    assert limits_of(config, "effvit-b0", (224, 224), "snapdragon", "adb").regression == 0.05
    (tmp_path / "gate.toml").write_text("[gate]\nmax_regression = 0.07\n")
    assert limits_of(read_config(None), *B0, "adb").regression == 0.07


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[gate]\nmax_regresion = 0.1\n", "max_regression"),
        ("[gate]\nmax_regression = 0\n", "gate.max_regression"),
        ('[gate]\nmax_regression = "three"\n', "no share"),
        ("[gate]\nmax_regression = nan\n", "gate.max_regression"),
        ("[gate]\nmax_regression = 0.5\n", '0.5 would be 50%: write "0.5%" or "50%"'),
        ('[gate]\nmax_regression = "3"\n', '`gate.max_regression`: 3 would be 300%: write "3%"'),
        ("[cells]\nmatch = 'a'\n", "write [[cells]]"),
        ("[gate]\npairs = 6\n", "gate.pairs"),
        ("[[cells]]\nmatch = ''\n", "cells.0.match"),
        ("[[cells]]\nmatch = 'a'\nlimit = 3\n", "max_memory_growth"),
        ("[[waivers]]\nmatch = 'a'\nexpires = 2027-01-01\n", "reason"),
        ("[[waivers]]\nmatch = 'a'\nreason = 'b'\n", "expires"),
        ("[[waivers]]\nmatch = 'a'\nreason = 'b'\nexpires = 2027-01-01\ngates = ['speed']\n", "gates"),
        (
            "[[waivers]]\nmatch = 'a'\nreason = 'b'\nexpires = 2027-01-01\ngates = 'time'\n",
            'it is a list: ["params", "time"]',
        ),
        ("[gate\n", "no TOML"),
    ],
)
def test_refusals_name_the_field(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(tmp_path, text)
    assert told in f"{caught.value.message} {caught.value.hint}"


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        read_config(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("effvit-b0", True),
        ("effvit-*", True),
        ("effvit-b0:224", True),
        ("effvit-b0:224x224", True),
        ("*:224x224", True),
        ("effvit-b0:512", False),
        ("effvit-b1", False),
    ],
)
def test_patterns(pattern: str, found: bool) -> None:
    assert matches(pattern, "effvit-b0", (224, 224)) == found
    assert matches("py:net.py:build", "py:net.py:build", (32, 32))


def test_shares() -> None:
    assert parse_share("3%", "--max-regression") == 0.03
    assert parse_share("0.05", "--max-regression") == 0.05
    for text in ("three", "0", "100%", "-1%", "nan"):
        with pytest.raises(UsageError, match="--max-regression"):
            parse_share(text, "--max-regression")
