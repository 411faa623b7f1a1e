"""The mode for benchmarks: on where the phone has it, and off again whatever happens."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.android.phone import FakePhone
from vitbench.android.power import COMMAND, fixed_performance, supports_fixed_performance
from vitbench.errors import TargetUnreachable, ToolError

REFUSES = "echo 'Failed to set FIXED_PERFORMANCE mode' >&2; exit 255"


class Stop(BaseException):
    """What Ctrl-C is like."""


def obeys(phone: FakePhone) -> None:
    phone.program("cmd", f'echo "$*" >> {phone.root}/asked')


def asked(phone: FakePhone) -> list[str]:
    file = phone.root / "asked"
    return [line.rpartition(" ")[2] for line in file.read_text().splitlines()] if file.exists() else []


def test_on_for_a_while(phone: FakePhone) -> None:
    obeys(phone)
    with fixed_performance(phone.run) as mode:
        assert mode.active
        assert asked(phone) == ["true"]
    assert asked(phone) == ["true", "false"]


def test_probing_leaves_it_off(phone: FakePhone) -> None:
    obeys(phone)
    assert supports_fixed_performance(phone.run)
    assert asked(phone) == ["true", "false"]


@pytest.mark.parametrize("error", [ValueError("own"), Stop(), TargetUnreachable("link", transient=True)])
def test_off_whatever_happens(phone: FakePhone, error: BaseException) -> None:
    obeys(phone)
    with pytest.raises(type(error)), fixed_performance(phone.run):
        raise error
    assert asked(phone) == ["true", "false"]
    assert not hasattr(error, "__notes__")


@pytest.mark.parametrize(
    "body", [REFUSES, "echo 'Unknown command: set-fixed-performance-mode-enabled'", "exit 127"]
)
def test_a_phone_without_the_mode_is_left_alone(phone: FakePhone, body: str) -> None:
    phone.program("cmd", f'echo "$*" >> {phone.root}/asked; {body}')
    with fixed_performance(phone.run) as mode:
        assert not mode.active
    with pytest.raises(ValueError, match="own"), fixed_performance(phone.run):
        raise ValueError("own")
    assert asked(phone) == ["true", "true"]
    assert not supports_fixed_performance(phone.run)


def test_a_phone_that_will_not_leave_it(phone: FakePhone) -> None:
    phone.program("cmd", f'[ "$3" = true ] || {{ {REFUSES}; }}')
    with pytest.raises(ToolError, match="would not leave") as caught, fixed_performance(phone.run):
        pass
    assert caught.value.hint == f"adb shell {COMMAND} false"
    assert "FIXED_PERFORMANCE" in caught.value.tail
    with pytest.raises(ValueError, match="own") as other, fixed_performance(phone.run):
        raise ValueError("own")
    assert f"adb shell {COMMAND} false" in other.value.__notes__[0]


def test_a_link_that_is_lost_may_have_carried_the_command(phone: FakePhone) -> None:
    obeys(phone)
    calls = 0

    def lossy(argv: Sequence[str]) -> str:
        nonlocal calls
        calls += 1
        answer = phone.run(argv)
        if calls == 1:
            raise TargetUnreachable("the link was lost", transient=True)
        return answer

    with pytest.raises(TargetUnreachable), fixed_performance(lossy):
        pytest.fail("nothing is measured without an answer")
    assert asked(phone) == ["true", "false"]
