"""Steps on a phone that are taken again where the link breaks on the way."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vitbench.errors import TargetUnreachable, ToolError
from vitbench.runtime import phone
from vitbench.runtime.phone import REPEATS, repeated


def failing(error: Exception, times: int) -> tuple[Callable[[], int], list[None]]:
    """A step that fails so often, then gives 7; and what grows with each call of it."""
    calls: list[None] = []

    def step() -> int:
        calls.append(None)
        if len(calls) <= times:
            raise error
        return 7

    return step, calls


def test_a_link_that_comes_back_is_used_again() -> None:
    step, calls = failing(TargetUnreachable("lost", transient=True), REPEATS)
    assert repeated(step) == 7
    assert len(calls) == REPEATS + 1


def test_a_link_that_breaks_each_time_is_given_up() -> None:
    step, calls = failing(TargetUnreachable("lost", transient=True), REPEATS + 1)
    with pytest.raises(TargetUnreachable, match="lost"):
        repeated(step)
    assert len(calls) == REPEATS + 1


@pytest.mark.parametrize("error", [TargetUnreachable("no trust"), ToolError("it failed")])
def test_what_would_end_the_same_way_is_not_tried_again(error: Exception) -> None:
    step, calls = failing(error, 1)
    with pytest.raises(type(error)):
        repeated(step)
    assert len(calls) == 1


def test_a_link_that_was_waited_for_in_vain_is_not_waited_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phone, "SOON_S", -1.0)
    step, calls = failing(TargetUnreachable("lost", transient=True), 1)
    with pytest.raises(TargetUnreachable):
        repeated(step)
    assert len(calls) == 1
