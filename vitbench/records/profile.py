"""The part of a record that says where the time of an inference went, layer by layer."""

from __future__ import annotations

from vitbench.records.schema import Part

MOST_OPERATORS = 10


class OperatorTime(Part):
    """All layers of one operator, as the runtime calls it: milliseconds of one inference, and how many."""

    op_type: str
    ms: float
    layers: int


class Profile(Part):
    """Time by layer in a process of its own, whose runtime noted it down; milliseconds of one inference.

    Noting down slows layers down, and a runtime may tell whole microseconds only: these are for shares, and
    never a latency. `runtime` is its name and version, `iterations` how many were added up, `total_ms` the
    sum of all layers. `attention_ms` is of those inside the network's attention modules, with their
    projections; `core_ms` of those that stand in the modules themselves (products, softmax or division, what
    lies between); `unattributed_ms` of those whose module cannot be told, because the runtime added or
    renamed them. All three are None for a network from elsewhere. `operators`: the ten that took longest.
    """

    runtime: str
    iterations: int
    total_ms: float
    attention_ms: float | None
    core_ms: float | None
    unattributed_ms: float | None
    operators: tuple[OperatorTime, ...]
