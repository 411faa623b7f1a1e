"""The link to a device: another device is refused at once, and the record says what was done to it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.boards.test_clocks import Note
from tests.e2e.cli import vitbench
from vitbench import catalog, runtime, transport
from vitbench.catalog.specs import TargetSpec
from vitbench.errors import TargetUnreachable, ToolError, UsageError
from vitbench.pipeline import device as pipeline_device
from vitbench.pipeline.link import Ways, open_link
from vitbench.runtime.session import AgentSession
from vitbench.transport.local import LocalTransport

HERE = catalog.resolve_target("a100").model_copy(update={"transport": "local"})


def tell(monkeypatch: pytest.MonkeyPatch, facts: dict[str, Any] | Exception) -> list[int]:
    """Have agents tell these facts; the numbers of the GPUs that they were asked to look at."""
    asked: list[int] = []

    @contextlib.contextmanager
    def agent(_link: object) -> Iterator[Any]:
        if isinstance(facts, Exception):
            raise facts
        yield SimpleNamespace(watch_gpu=asked.append, describe=lambda: facts)

    monkeypatch.setattr(runtime, "open_agent", agent)
    return asked


def test_another_device_is_refused_before_anything_is_made_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    tell(monkeypatch, {"gpu_name": "NVIDIA H200"})
    with (
        pytest.raises(
            UsageError, match="target 'a100' is for A100, and this device is NVIDIA H200"
        ) as refused,
        open_link(HERE, Note()),
    ):
        pytest.fail("the link was given away")
    assert refused.value.hint == "measure it as -t h200"


def test_the_gpu_that_is_asked_is_the_one_that_will_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = tell(monkeypatch, {"gpu_name": "NVIDIA A100-PCIE-40GB"})
    with open_link(HERE.model_copy(update={"options": {"device": 2}}), Note()) as link:
        assert link.target.name == "a100"
    assert asked == [2]


@pytest.mark.parametrize("facts", [{}, ToolError("python3 is 3.6")])
def test_a_device_that_says_nothing_is_judged_later(
    monkeypatch: pytest.MonkeyPatch, facts: dict[str, Any] | Exception
) -> None:
    tell(monkeypatch, facts)
    with open_link(HERE, Note()):
        pass


def test_a_target_without_devices_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    tell(monkeypatch, AssertionError("an agent was started"))
    with open_link(catalog.resolve_target("cpu"), Note()) as link:
        assert link.held == {}


def test_what_is_held_and_what_it_takes_are_in_the_environment() -> None:
    energy = {"joules": 3.0}
    link = cast(Any, SimpleNamespace(held={"clocks": True}))
    session = cast(Any, SimpleNamespace(energy=lambda seconds: energy if seconds == 2.0 else None))
    assert pipeline_device._beside(link, session) == {"held": {"clocks": True}, "energy": energy}
    free = cast(Any, SimpleNamespace(held={}))
    assert pipeline_device._beside(free, cast(Any, SimpleNamespace())) == {}


def test_agents_of_processors_tell_of_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    target = TargetSpec(name="here", title="", transport="local", runtime="onnxruntime")
    with LocalTransport(target) as link, runtime.open_agent(link) as agent:
        assert isinstance(agent, AgentSession)
        before = agent.describe()
        agent.watch_gpu()
        assert agent.describe() == before
        assert "gpu_clock_mhz" not in agent.probe()


def test_a_processor_does_not_fill_the_row_of_a_gpu(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(
        'name = "own"\ntitle = ""\ntransport = "local"\nruntime = "onnxruntime"\ndevices = ["Example 9000"]\n'
    )
    done = vitbench(
        *("run", "-m", "attention-4x16:7x7", "-t", "own.toml", "--quick"),
        cwd=tmp_path,
        CUDA_VISIBLE_DEVICES="",
    )
    assert done.code == 2, done.err
    assert "target 'own' is for Example 9000, and this device is " in done.err
    assert not list(tmp_path.glob("results/*.json"))


def doors(monkeypatch: pytest.MonkeyPatch, *fates: Exception | None) -> list[str]:
    """Have transports open as told in turn, and later ones as ever; the names that were tried."""
    tried: list[str] = []
    to_come = list(fates)

    def opened(target: TargetSpec) -> LocalTransport:
        tried.append(target.name)
        fate = to_come.pop(0) if to_come else None
        if fate is not None:
            raise fate
        return LocalTransport(target)

    monkeypatch.setattr(transport, "open", opened)
    return tried


def test_a_target_that_was_never_reached_is_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = doors(monkeypatch, TargetUnreachable("no route"))
    ways, target = Ways(), catalog.resolve_target("cpu")
    for _ in range(3):
        with pytest.raises(TargetUnreachable, match="no route"), open_link(target, Note(), ways):
            pytest.fail("the link was given away")
    assert tried == ["cpu"]
    with open_link(target.model_copy(update={"name": "other"}), Note(), ways):
        pass
    assert tried == ["cpu", "other"]


def test_a_target_that_was_reached_before_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = doors(monkeypatch, None, TargetUnreachable("gone"), None)
    ways, target = Ways(), catalog.resolve_target("cpu")
    with open_link(target, Note(), ways):
        pass
    with pytest.raises(TargetUnreachable), open_link(target, Note(), ways):
        pytest.fail("the link was given away")
    with open_link(target, Note(), ways):
        pass
    assert len(tried) == 3
    assert ways.closed == {}


def test_a_link_that_is_lost_in_use_closes_no_way(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = doors(monkeypatch)
    ways, target = Ways(), catalog.resolve_target("cpu")
    for _ in range(2):
        with pytest.raises(TargetUnreachable), open_link(target, Note(), ways):
            raise TargetUnreachable("lost")
    assert len(tried) == 2


def test_what_is_left_out_is_counted_once() -> None:
    orin, nano = TargetUnreachable("no route"), TargetUnreachable("no such host")
    ways = Ways(closed={"orin": orin})
    later = [("orin", "orin"), ("cpu", "cpu"), ("orin", "nano"), ("nano", "nano")]
    assert ways.left_out(orin, later, "row") == (
        "2 more rows of orin left out, because it could not be reached"
    )
    ways.closed["nano"] = nano
    assert ways.left_out(nano, later, "row") == "1 more row of nano left out, because it could not be reached"
    assert ways.left_out(nano, later[:3], "row") is None
    assert ways.left_out(TargetUnreachable("lost"), later, "row") is None
    assert ways.why_closed(["cpu", "nano"]) is nano
    assert ways.why_closed(["cpu"]) is None


def test_run_names_a_board_that_is_not_there_once_and_measures_the_others(tmp_path: Path) -> None:
    done = vitbench(
        *("run", "-m", "attention-4x16:7x7,attention-4x16:8x8,attention-4x16:9x9", "-t", "orin,sim"),
        *("--host", "board", "--quick", "--allow-inconclusive"),
        cwd=tmp_path,
        PATH=str(tmp_path),
    )
    assert done.code == 4, done.err
    assert done.err.count("error: ") == 1
    assert "2 more cells of orin left out, because it could not be reached" in done.err
    assert len(list(tmp_path.glob("results/*-sim-*.json"))) == 3, done.err


def test_compare_names_a_board_that_is_not_there_once(tmp_path: Path) -> None:
    done = vitbench(
        *("compare", "softmax", "relu", "-t", "orin", "--tokens", "7x7,14x14,28x28"),
        cwd=tmp_path,
        PATH=str(tmp_path),
    )
    assert done.code == 4, done.err
    assert done.err.count("error: ") == 1
    assert "5 more comparisons of orin left out, because it could not be reached" in done.err
