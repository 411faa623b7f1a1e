"""Which power mode of a board is the highest."""

from __future__ import annotations

import pytest

from vitbench.boards.modes import highest_mode, is_highest


@pytest.mark.parametrize(
    ("names", "best"),
    [
        (["MAXN", "MODE_15W", "MODE_30W", "MODE_50W"], ("0", "MAXN")),
        (["15W", "25W", "MAXN_SUPER", "7W"], ("2", "MAXN_SUPER")),
        (["MAXN", "25W", "MAXN_SUPER"], ("2", "MAXN_SUPER")),
        (["15W", "7W"], ("0", "15W")),
        (["7W", "15W"], ("1", "15W")),
        (["MODE_20W_2CORE", "MODE_10W_DESKTOP"], ("0", "MODE_20W_2CORE")),
        ([], None),
    ],
)
def test_the_highest_mode(names: list[str], best: tuple[str, str] | None) -> None:
    modes = {str(number): name for number, name in enumerate(names)}
    assert highest_mode(modes) == best
    assert [name for name in names if is_highest(name, modes)] == ([best[1]] if best else [])


def test_without_a_list_the_name_tells() -> None:
    assert is_highest("MAXN", {})
    assert not is_highest("MODE_30W", {})
