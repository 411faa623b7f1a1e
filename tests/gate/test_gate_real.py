"""The command line of the benchmark of real gates."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks import gate_real


@pytest.mark.parametrize("kinds", ["foo", "null,foo", "null,", ""])
def test_unknown_kinds_are_a_usage_error(
    tmp_path: Path, kinds: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results"
    monkeypatch.setattr(gate_real, "calibrated", lambda *_: None)
    monkeypatch.setattr(sys, "argv", ["gate_real", "--results", str(results), "--kinds", kinds])
    with pytest.raises(SystemExit) as end:
        gate_real.main()
    assert end.value.code == 2
    told = capsys.readouterr().err
    assert f"--kinds: no kind '{kinds.rpartition(',')[2]}', there are null, 10, 5, cost" in told
    assert not results.exists()
