"""Which transport a target gets."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from vitbench import transport
from vitbench.catalog.specs import SimScript, TargetSpec
from vitbench.errors import TargetUnreachable, UsageError
from vitbench.transport import plugins
from vitbench.transport.local import LocalTransport
from vitbench.transport.sim import SimTransport


def target(name: str, script: SimScript | None = None) -> TargetSpec:
    runtime = "onnxruntime" if script is None else "sim"
    spec = {"name": "board", "title": "a board", "transport": name, "runtime": runtime, "sim": script}
    return TargetSpec.model_validate(spec)


def offer(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    def entry_points(*, group: str, name: str | None = None) -> list[EntryPoint]:
        assert group == transport.GROUP
        return [point] if name in (None, point.name) else []

    point = EntryPoint(name, value, transport.GROUP)
    monkeypatch.setattr(plugins, "entry_points", entry_points)


class Elsewhere(LocalTransport):
    """What an installed package might offer."""

    name = "serial"


def test_opens_the_built_in_ones() -> None:
    with transport.open(target("local")) as opened:
        assert type(opened) is LocalTransport
    with transport.open(target("sim", SimScript(latency_ms=1))) as opened:
        assert type(opened) is SimTransport


def test_a_transport_nobody_offers_is_a_usage_error() -> None:
    with pytest.raises(
        UsageError, match="'board' is reached by serial, which this version cannot do"
    ) as caught:
        transport.open(target("serial"))
    assert caught.value.hint is not None
    assert "adb, local, sim, ssh" in caught.value.hint


def test_an_installed_package_can_offer_one(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, "serial", f"{__name__}:Elsewhere")
    with transport.open(target("serial")) as opened:
        assert type(opened) is Elsewhere


def test_the_built_in_ones_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, "local", "no.such.module:Nothing")
    with transport.open(target("local")) as opened:
        assert type(opened) is LocalTransport


def test_a_package_that_cannot_be_loaded_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, "serial", "no.such.module:Nothing")
    with pytest.raises(UsageError, match=r"cannot be loaded from no\.such\.module:Nothing"):
        transport.open(target("serial"))


def load_and_measure(opened: transport.Transport, script: SimScript, block: int, counts: list[int]) -> None:
    channel = opened.start_agent("sim agent on `board`")
    options = {"script": script.model_dump(), "block": block}
    try:
        channel.request({"op": "load", "runtime": "sim", "options": options}, 10)
        channel.request({"op": "warm", "n": 1000}, 10)
        for n in counts:
            assert len(channel.request({"op": "measure", "n": n}, 10)["samples"]["total_ns"]) == n
    finally:
        channel.close()


def test_the_scripted_link_is_lost_once_in_its_block() -> None:
    script = SimScript(latency_ms=1, lose_link_in_block=1, lose_link_after=50)
    with transport.open(target("sim", script)) as opened:
        load_and_measure(opened, script, 0, [60, 60])
        load_and_measure(opened, script, 1, [25, 25])
        with pytest.raises(TargetUnreachable, match="link to sim agent on `board` was lost") as caught:
            load_and_measure(opened, script, 1, [25, 25, 1])
        assert caught.value.transient is True
        load_and_measure(opened, script, 1, [60, 60])
