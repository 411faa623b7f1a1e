"""What a counter refuses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from vitbench.catalog.specs import ModelSpec
from vitbench.errors import UsageError

FOR_DEVELOPERS = "add each operator to the counter: a formula for its MACs, or the list of those without MACs"
FOR_USERS = (
    "write the network with standard operators that do the same (export it without fusion, quantisation and "
    "branches; undo weight_norm and the like with torch.nn.utils.parametrize.remove_parametrizations)"
)


class UnsupportedOperators(UsageError):
    """Operators that the counter does not know; counting them as nothing would be a wrong figure.

    Args:
        operators: their names.
        where: what was counted, for the message.
        hint: the next step, by default for whoever works on a network of the zoo.
    """

    def __init__(self, operators: Iterable[str], where: str, hint: str = FOR_DEVELOPERS) -> None:
        self.operators = tuple(sorted(set(operators)))
        super().__init__(f"cannot count {', '.join(self.operators)} in {where}", hint)


@contextmanager
def told_to_users(spec: ModelSpec) -> Iterator[None]:
    """Refusals of operators of a network from elsewhere say what whoever brought it can do."""
    try:
        yield
    except UnsupportedOperators as refusal:
        if spec.from_elsewhere:
            raise UnsupportedOperators(refusal.operators, spec.name, FOR_USERS) from refusal
        raise
