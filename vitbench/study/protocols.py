"""Whether two measurements were taken in the same way."""

from __future__ import annotations

from vitbench.errors import UsageError
from vitbench.records.comparison import ValueIs
from vitbench.records.schema import Header


def value_is(first: Header, second: Header) -> ValueIs:
    """What of two measurements can be compared: the compute part where one could not time its copies."""
    absent = "absent" in (first.protocol.transfers, second.protocol.transfers)
    return "compute" if absent else "latency"


def differing(first: Header, second: Header, *, allow: bool = False) -> tuple[str, ...]:
    """Fields of the protocol that differ: `threads 1 and 2`.

    Args:
        allow: whether the reader asked for a comparison nevertheless.

    Raises:
        UsageError: some differ, and that is not allowed; the message names them all.
    """
    sides = [header.protocol.model_dump() for header in (first, second)]
    found = tuple(
        f"{name.replace('_', ' ')} {sides[0][name]} and {sides[1][name]}"
        for name in sides[0]
        if sides[0][name] != sides[1][name]
    )
    if found and not allow:
        raise UsageError(
            f"{first.workload.model} and {second.workload.model} were not measured in the same way: "
            + ", ".join(found),
            "measure them alike, or add --allow-protocol-mismatch to see them marked",
        )
    return found
