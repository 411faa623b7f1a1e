"""Where the time of each side goes, layer by layer: processes of their own, after all that is timed."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from vitbench import runtime
from vitbench.errors import VitbenchError
from vitbench.pipeline.device import Device
from vitbench.pipeline.progress import Progress
from vitbench.records.comparison import Comparison
from vitbench.records.profile import MOST_OPERATORS, OperatorTime, Profile
from vitbench.runtime import AgentSession, LayerTime
from vitbench.study.layers import GraphModules, attention_modules, place_of

if TYPE_CHECKING:
    from vitbench.runtime.base import AnySession

WARM_S, PROFILE_S = 1.0, 4.0
WARM_ITERATIONS, PROFILE_ITERATIONS = (2, 20), (5, 50)
NS_PER_MS, NS_PER_S = 1e6, 1e9


def add_profiles(
    comparison: Comparison, devices: Sequence[Device], progress: Progress
) -> tuple[Comparison, bool]:
    """The comparison with the profile of each side, and whether Ctrl-C ended that early.

    A side that cannot be profiled has none, and a note says why; nothing else about the comparison changes.
    """
    found: list[Profile | None] = [None, None]
    for side, device in enumerate(devices):
        label = device.cell.label
        progress.stage(label, "timing its layers, one by one")
        try:
            found[side] = profile(device)
        except VitbenchError as error:
            progress.note(f"{label}: no time by layer: {error.message}")
        except KeyboardInterrupt:
            return _with(comparison, found), True
    return _with(comparison, found), False


def _with(comparison: Comparison, found: Sequence[Profile | None]) -> Comparison:
    return comparison.model_copy(update={"profiles": (found[0], found[1])})


def profile(device: Device) -> Profile:
    """Time the layers of a network in a fresh process.

    Raises:
        UsageError: the target's runtime cannot tell.
        ToolError: the runtime failed.
        TargetUnreachable: the link was lost.
    """
    options = device.engine.profile_options(device.options(0), device.link.scratch())
    model_file = device.artifact.model_file if device.artifact else None
    with runtime.open_session(device.link, device.engine, model_file, options, device.inputs()) as session:
        engine = f"{device.engine.name} {session.loaded.runtime_version}"
        iterations = _iterations(session)
        layers = session.profile(iterations)
    if device.artifact is None or (attention := attention_modules(device.cell.workload.model)) is None:
        return summarise(layers, iterations, engine, None, ())
    return summarise(layers, iterations, engine, GraphModules.read(device.artifact.model_file), attention)


def _iterations(session: AnySession) -> int:
    """How many iterations are worth their time; a tool warms up by itself."""
    if isinstance(session, AgentSession):
        return _warm(session)
    return _fitting(PROFILE_S, session.expected_ns() / NS_PER_S, PROFILE_ITERATIONS)


def _warm(session: AgentSession) -> int:
    """Warm up, and say how many iterations are worth their time."""
    first_s = session.warm(1).total_ns[0] / NS_PER_S
    batch = session.warm(_fitting(WARM_S, first_s, WARM_ITERATIONS))
    return _fitting(PROFILE_S, statistics.median(batch.total_ns) / NS_PER_S, PROFILE_ITERATIONS)


def _fitting(budget_s: float, iteration_s: float, bounds: tuple[int, int]) -> int:
    least, most = bounds
    return max(least, min(most, int(budget_s / max(iteration_s, 1e-6))))


def _module_of(graph: GraphModules, layer: LayerTime) -> str | None:
    """Module of a layer; of one that was made of several, that of most of its nodes, the first of equals."""
    modules = [graph.module_of(name) for name in layer.nodes or (layer.name,)]
    known = Counter(module for module in modules if module is not None)
    return known.most_common(1)[0][0] if known else None


def summarise(
    layers: Sequence[LayerTime],
    iterations: int,
    engine: str,
    graph: GraphModules | None,
    attention: Sequence[str],
) -> Profile:
    """Add layers up: all of them, those of the attention modules, and by operator.

    Args:
        layers: time of each over all iterations.
        iterations: how many those were.
        engine: name and version of the runtime.
        graph: where each layer stands; None where nobody knows.
        attention: paths of the attention modules.
    """
    per_ms = 1 / (NS_PER_MS * iterations)
    places: Counter[str] = Counter()
    operators: Counter[str] = Counter()
    for layer in layers:
        module = _module_of(graph, layer) if graph else None
        places["unattributed" if module is None else place_of(module, attention)] += layer.total_ns
        operators[layer.op_type] += layer.total_ns
    counts = Counter(layer.op_type for layer in layers)
    return Profile(
        runtime=engine,
        iterations=iterations,
        total_ms=sum(layer.total_ns for layer in layers) * per_ms,
        attention_ms=(places["core"] + places["projections"]) * per_ms if graph else None,
        core_ms=places["core"] * per_ms if graph else None,
        unattributed_ms=places["unattributed"] * per_ms if graph else None,
        operators=tuple(
            OperatorTime(op_type=name, ms=total_ns * per_ms, layers=counts[name])
            for name, total_ns in operators.most_common(MOST_OPERATORS)
        ),
    )
