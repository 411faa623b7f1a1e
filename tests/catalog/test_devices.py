"""Options that say which phone or board is meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from vitbench import catalog
from vitbench.catalog.devices import DeviceOptions
from vitbench.catalog.specs import TargetSpec
from vitbench.errors import UsageError

PHONE, CPU = catalog.resolve_target("snapdragon"), catalog.resolve_target("cpu")
BOARD = TargetSpec(name="board", title="", transport="ssh", runtime="onnxruntime")


def test_a_phone_is_used_as_asked_and_other_targets_stay_as_they_are() -> None:
    asked = DeviceOptions(serial="R5CT10", binary=Path("/tools/bm"), cluster="prime")
    phone, cpu = asked.apply([PHONE, CPU])
    assert cpu == CPU
    assert phone.serial == "R5CT10"
    assert phone.options == {**PHONE.options, "binary": "/tools/bm", "cluster": "prime"}


def test_nothing_said_changes_nothing() -> None:
    assert DeviceOptions().apply([PHONE, CPU, BOARD]) == [PHONE, CPU, BOARD]


def test_a_board_is_named_or_is_this_machine() -> None:
    assert DeviceOptions(host="me@board").apply([BOARD])[0].host == "me@board"
    here = DeviceOptions(host="local").apply([BOARD])[0]
    assert (here.transport, here.host) == ("local", None)


def test_a_card_in_this_computer_may_be_in_another() -> None:
    card = catalog.resolve_target("rtx")
    assert card.transport == "local"
    there = DeviceOptions(host="me@desk").apply([card])[0]
    assert (there.transport, there.host) == ("ssh", "me@desk")
    assert DeviceOptions(host="local").apply([card]) == [card]


@pytest.mark.parametrize("lock", [True, False])
def test_whether_clocks_are_held(lock: bool) -> None:
    assert DeviceOptions(lock_clocks=lock).apply([BOARD, CPU])[0].lock_clocks is lock
    both = DeviceOptions(host="local", lock_clocks=lock).apply([catalog.resolve_target("orin")])[0]
    assert (both.transport, both.lock_clocks) == ("local", lock)
    assert DeviceOptions().apply([catalog.resolve_target("orin")])[0].lock_clocks is True


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (DeviceOptions(serial="x"), "--serial is of phones, and cpu is none"),
        (DeviceOptions(cluster="big"), "--cluster is of phones, and cpu is none"),
        (DeviceOptions(host="x"), "--host is of boards, and cpu is none"),
        (DeviceOptions(lock_clocks=False), "--lock-clocks is of boards, and cpu is none"),
    ],
)
def test_an_option_without_its_device_is_refused(asked: DeviceOptions, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        asked.apply([CPU])


@pytest.mark.parametrize("serial", ["", "two words", "tab\there", "größe"])
def test_a_serial_that_cannot_be_one_is_refused(serial: str) -> None:
    with pytest.raises(UsageError, match=r"--serial '.*' names no device"):
        DeviceOptions(serial=serial).apply([PHONE])


def test_one_host_for_several_boards_is_refused() -> None:
    second = BOARD.model_copy(update={"name": "other"})
    with pytest.raises(UsageError, match="--host x cannot be each of board, other"):
        DeviceOptions(host="x").apply([BOARD, second])
