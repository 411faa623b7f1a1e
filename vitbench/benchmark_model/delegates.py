"""Which part of a model a delegate took over, as far as a log tells."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

_APPLIED = re.compile(
    r"explicitly applied (?P<name>.+?) delegate, and the model graph will be (?P<share>completely|partially)"
    r"(?:.*?w/ (?P<kernels>\d{1,9}) delegate kernels?)?",
    re.IGNORECASE,
)
_NOT_USED = re.compile(
    r"though (?P<name>.+?) delegate is explicitly applied, the model graph will not be", re.IGNORECASE
)
_REPLACED = re.compile(
    r"replacing (?P<taken>\d{1,9}) out of (?P<nodes>\d{1,9}) node\(s\) with delegate \((?P<name>\w+)\) node, "
    r"yielding (?P<partitions>\d{1,9}) partitions?",
    re.IGNORECASE,
)
_CREATED = re.compile(
    r"created tensorflow lite (?:(?P<name>\w+) delegate|delegate for (?P<other>\w+))", re.IGNORECASE
)
_KERNEL_NAME = re.compile(r"^TfLite(?P<name>\w+?)Delegate(?:V2|Kernel)?$", re.IGNORECASE)


@dataclass(frozen=True)
class Delegate:
    """A delegate and its share of the model; None where the log does not tell.

    `kernels` is the number of pieces it runs, `nodes` those of the model, `taken` those of them it runs, and
    `partitions` the pieces of both kinds that the model fell into.
    """

    name: str
    share: Literal["completely", "partially", "none"] | None = None
    kernels: int | None = None
    taken: int | None = None
    nodes: int | None = None
    partitions: int | None = None


def find(lines: Sequence[str]) -> Delegate | None:
    """The delegate of a run; of several sentences about it, all that they tell."""
    replaced = _replaced(lines)
    for line in lines:
        if match := _APPLIED.search(line):
            share: Literal["completely", "partially"] = (
                "completely" if match["share"].lower() == "completely" else "partially"
            )
            kernels = int(match["kernels"]) if match["kernels"] else None
            return _joined(Delegate(match["name"], share, kernels), replaced)
        if match := _NOT_USED.search(line):
            return Delegate(match["name"], "none", 0)
    if replaced is not None:
        return replaced
    created = next(filter(None, map(_CREATED.search, lines)), None)
    return None if created is None else Delegate(created["name"] or created["other"])


def _replaced(lines: Sequence[str]) -> Delegate | None:
    """From the sentence of the runtime about the main graph, which comes first."""
    match = next(filter(None, map(_REPLACED.search, lines)), None)
    if match is None:
        return None
    taken, nodes = int(match["taken"]), int(match["nodes"])
    kernel = _KERNEL_NAME.match(match["name"])
    return Delegate(
        name=kernel["name"].upper() if kernel else match["name"],
        share="none" if taken == 0 else "completely" if taken == nodes else "partially",
        taken=taken,
        nodes=nodes,
        partitions=int(match["partitions"]),
    )


def _joined(applied: Delegate, replaced: Delegate | None) -> Delegate:
    if replaced is None:
        return applied
    return Delegate(
        applied.name, applied.share, applied.kernels, replaced.taken, replaced.nodes, replaced.partitions
    )
