"""`--protocol`, and the second opinion that a target may ask for."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from benchmarks.example_records import change, example_record
from vitbench.errors import MeasurementInvalid, ToolError, UsageError
from vitbench.pipeline.cross_check import second_opinion
from vitbench.pipeline.device import Device
from vitbench.request import Request, parse_request
from vitbench.runtime import trtexec_check
from vitbench.study.protocols import differing

BOARD = """\
name = "board"
title = "a board without TensorRT's Python"
transport = "local"
runtime = "trtexec"
precision = "fp16"
"""


@pytest.fixture
def board(tmp_path: Path) -> str:
    """A target of the trtexec runtime."""
    path = tmp_path / "board.toml"
    path.write_text(BOARD)
    return str(path)


def asked(target: str, **options: Any) -> Request:
    return parse_request(models=["effvit-b1"], targets=[target], **options)


def test_the_paper_says_itself_how_much_is_sampled(board: str) -> None:
    request = asked(board, protocol="paper", blocks=3)
    (cell,) = request.cells
    assert cell.target.options == {"protocol": "paper"}
    assert (request.plan.preset, request.plan.blocks, request.plan.timed_min_iterations) == ("paper", 3, 100)


def test_serial_is_what_everything_does(board: str) -> None:
    assert asked(board, protocol="serial").cells[0].target.options == {"protocol": "serial"}
    plain = asked("cpu", protocol="serial")
    assert plain.cells == asked("cpu").cells
    assert plain.plan.preset == asked(board).plan.preset == "full"


def test_a_target_may_have_the_paper_for_its_own(board: str, tmp_path: Path) -> None:
    Path(board).write_text(BOARD + '[options]\nprotocol = "paper"\n')
    assert asked(board).plan.preset == "paper"
    assert asked(board, protocol="serial").plan.preset == "full"


@pytest.mark.parametrize("target", ["cpu", "sim"])
def test_a_runtime_without_it_says_so(target: str) -> None:
    with pytest.raises(UsageError, match="knows no protocol 'paper', only serial") as caught:
        asked(target, protocol="paper")
    assert caught.value.hint is not None
    assert "drop --protocol" in caught.value.hint


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"quick": True}, "times 100 requests, no fewer"),
        ({"precision": "fp32"}, "is of latency in fp16"),
        ({"metric": "throughput"}, "is of latency in fp16"),
        ({"protocol": "loud"}, "knows no protocol 'loud', only serial, paper"),
    ],
)
def test_what_the_paper_did_not_do(board: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        asked(board, **{"protocol": "paper", **options})


def test_a_run_has_one_protocol(board: str) -> None:
    Path(board).write_text(BOARD + '[options]\nprotocol = "paper"\n')
    with pytest.raises(UsageError, match="cpu cannot be measured together"):
        parse_request(models=["effvit-b1"], targets=[board, "cpu"])


def test_records_of_the_two_protocols_are_not_compared_silently() -> None:
    serial = example_record()
    paper = change(serial, protocol={"overlap": True})
    with pytest.raises(UsageError, match="overlap False and True"):
        differing(serial, paper)


class Link:
    """Stands for a device with an engine."""

    def __init__(self, options: dict[str, Any]) -> None:
        target = SimpleNamespace(options=options)
        self.cell = SimpleNamespace(target=target)
        self.artifact = SimpleNamespace(model_file=Path("model.onnx"))
        self.link = None

    def inputs(self) -> list[Any]:
        return []

    @contextmanager
    def session(self, block: int) -> Any:
        yield SimpleNamespace(loaded=SimpleNamespace(engine={"engine": "/there/engine.plan"}))


def opinion(
    monkeypatch: pytest.MonkeyPatch, trtexec_ms: float | Exception, **options: Any
) -> tuple[tuple[str, ...], list[Any]]:
    """What the record says, where vitbench measured parts of 4.9 ms, and which engines trtexec ran."""
    ran: list[Any] = []

    def parts_ms(*_: Any, engine: str | None = None) -> float:
        ran.append(engine)
        if isinstance(trtexec_ms, Exception):
            raise trtexec_ms
        return trtexec_ms

    monkeypatch.setattr(trtexec_check, "parts_ms", parts_ms)
    estimate = change(example_record(), estimate={"latency_paper_ms": 4.9}).estimate
    return second_opinion(cast(Device, Link(options)), estimate), ran


def test_a_second_opinion_is_asked_for_and_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    told, ran = opinion(monkeypatch, 4.5, cross_check=True)
    assert ran == ["/there/engine.plan"]
    assert told == (
        "trtexec disagrees: it takes 4.5 ms for copies and computing, vitbench 4.9 ms "
        "(+8.9%, where 5% is allowed)",
    )
    assert opinion(monkeypatch, 4.8, cross_check=True)[0] == ()


@pytest.mark.parametrize("options", [{}, {"cross_check": False}])
def test_nobody_is_asked_where_nobody_wants_it(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    assert opinion(monkeypatch, 1.0, **options) == ((), [])


def test_a_second_opinion_that_cannot_be_had_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for error in (ToolError("trtexec crashed"), MeasurementInvalid("trtexec crashed")):
        told, _ = opinion(monkeypatch, error, cross_check=True)
        assert told == ("not cross-checked by trtexec: trtexec crashed",)
    device = cast(Device, Link({"cross_check": True}))
    assert second_opinion(device, None) == ("not cross-checked by trtexec: there is no time of the parts",)
