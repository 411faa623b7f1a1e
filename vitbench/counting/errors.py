"""What a counter refuses."""

from __future__ import annotations

from collections.abc import Iterable

from vitbench.errors import UsageError


class UnsupportedOperators(UsageError):
    """Operators that the counter does not know; counting them as nothing would be a wrong figure.

    Args:
        operators: their names.
        where: what was counted, for the message.
    """

    def __init__(self, operators: Iterable[str], where: str) -> None:
        self.operators = tuple(sorted(set(operators)))
        super().__init__(
            f"cannot count {', '.join(self.operators)} in {where}",
            "add each operator to the counter: a formula for its MACs, or the list of those without MACs",
        )
