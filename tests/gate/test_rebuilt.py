"""The second stage where engines are built by timing: built and checked anew, one for the same artifact."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from vitbench.errors import MeasurementInvalid
from vitbench.gate.config import Waiver
from vitbench.gate.save import requests_of
from vitbench.pipeline import gate_cell
from vitbench.pipeline.device import Device
from vitbench.pipeline.gate_cell import GatedCell


def header(timings: str | None, passed: bool = True) -> Any:
    engine = None if timings is None else SimpleNamespace(timings=timings)
    return SimpleNamespace(
        artifact=SimpleNamespace(engine=engine), parity=SimpleNamespace(passed=passed, reason="too far off")
    )


def gated(timings: str | None, *, same: bool = False) -> GatedCell:
    ((_, _, request),) = requests_of(["attention-8x16:4x4"], ["sim"], [])
    first = Device(request.cells[0], request, None, None, "artifact A", Path(), {})  # type: ignore[arg-type]
    second = replace(first, artifact="artifact A" if same else "artifact B")  # type: ignore[arg-type]
    planned = SimpleNamespace(baseline=SimpleNamespace(label="a on b"))
    cell = GatedCell(planned, 0, SimpleNamespace(progress=None), None, None, "study", 0)  # type: ignore[arg-type]
    cell.devices, cell.headers = [first, second], [header(timings), header(timings)]
    return cell


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Device]:
    """The devices whose headers are made, each of which builds and checks."""
    devices: list[Device] = []

    def make_header(device: Device, progress: object, known: dict[str, object]) -> Any:
        assert known == {}, "parity of another build says nothing of this one"
        devices.append(device)
        return header("new")

    monkeypatch.setattr(gate_cell, "make_header", make_header)
    return devices


def test_what_is_built_by_timing_is_built_anew(made: list[Device]) -> None:
    devices, headers = gated("new")._rebuilt()
    assert [device.request.no_cache for device in devices] == [True, True]
    assert made == devices
    assert len(headers) == 2


def test_sides_of_the_same_artifact_run_the_same_build(made: list[Device]) -> None:
    devices, headers = gated("new", same=True)._rebuilt()
    assert devices[0] is devices[1]
    assert len(made) == 1
    assert headers[0] is headers[1]


def test_what_is_not_built_stays(made: list[Device]) -> None:
    cell = gated(None)
    assert cell._rebuilt() == (cell.devices, cell.headers)
    assert made == []


def test_pinned_times_are_told(made: list[Device]) -> None:
    cell = gated("pinned")
    cell._rebuilt()
    assert "pinned" in cell.notes[0]


def test_a_build_that_fails_parity_ends_the_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_cell, "make_header", lambda *_: header("new", passed=False))
    with pytest.raises(MeasurementInvalid, match="second stage of a on b fails parity: too far off"):
        gated("new")._rebuilt()


def test_a_waiver_does_not_end_in_the_middle_of_a_gate() -> None:
    cell = gated(None)
    cell.today = date(2026, 1, 31)
    cell.planned.waivers = [Waiver(match="*", reason="known", expires=cell.today)]  # type: ignore[misc]
    assert cell._waived() == {"time"}
