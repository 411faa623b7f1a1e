"""The noise check: a small fixed network in a few fresh processes, for about ten seconds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vitbench.runtime import AgentSession, SampleBatch, TensorFile

BLOCKS = 5
WARM_S, TIMED_S = 0.3, 1.2
BATCH = 20
PAIRS = 10
# Effect, in standard errors of the pairs' mean, that the exact signed-rank test of 10 normal pairs sees at
# level .01 with probability .95. By simulation.
EFFECT = 4.9
# Up to here 10 pairs suffice for a gate's threshold of 3 %, as 8 sd / sqrt(10) <= 3 % has it.
QUIET_PERCENT, NOISY_PERCENT = 1.8, 15.0
CHANNELS, SIDE, LAYERS = 32, 56, 4


@dataclass(frozen=True)
class Noise:
    """How noisy the machine was, in per cent of the latency.

    Attributes:
        blocks, iterations: how much was measured.
        median_ms: median of the block medians; of the check's own network, not to be compared.
        spread_percent: interquartile range of the iterations of a block, median over the blocks.
        between_percent: standard deviation of the logarithms of the block medians.
        drift_percent: Theil-Sen slope of the batch medians, from the check's begin to its end.
        visible_percent: the smallest change that 10 pairs of blocks would show with probability .95 at
            level .01: 4.9 sqrt(2) between / sqrt(10), from few blocks and so only about right.
    """

    blocks: int
    iterations: int
    median_ms: float
    spread_percent: float
    between_percent: float
    drift_percent: float
    visible_percent: float


def check_noise(
    open_session: Callable[[int], AbstractContextManager[AgentSession]], blocks: int = BLOCKS
) -> Noise:
    """Measure blocks one after the other, each in a fresh process of the agent.

    How long is decided by the agent's own clock.

    Args:
        open_session: opens the session of a block with the network of the check loaded.
        blocks: at least two.
    """
    return summarise([_block(open_session, block) for block in range(blocks)])


def _block(open_session: Callable[[int], AbstractContextManager[AgentSession]], block: int) -> list[int]:
    with open_session(block) as session:
        _iterate(session.warm, WARM_S)
        return _iterate(session.measure, TIMED_S)


def _iterate(run: Callable[[int], SampleBatch], seconds: float) -> list[int]:
    """Run batches until they took this long; their iterations in nanoseconds."""
    samples: list[int] = []
    elapsed_ns = 0
    while elapsed_ns < seconds * 1e9:
        batch = run(BATCH)
        samples += batch.total_ns
        elapsed_ns += batch.elapsed_ns
    return samples


def summarise(blocks: Sequence[Sequence[int]]) -> Noise:
    """Judge iterations in nanoseconds, one sequence a block: at least two blocks of a whole batch."""
    from vitbench.stats.blocks import batch_medians
    from vitbench.stats.robust import theil_sen_slope

    medians = [statistics.median(block) for block in blocks]
    middle = statistics.median(medians)
    between = statistics.stdev(math.log(median) for median in medians)
    batches = [float(median) for block in blocks for median in batch_medians(block, BATCH)]
    spreads = [_interquartile_range(block) / median for block, median in zip(blocks, medians, strict=True)]
    return Noise(
        blocks=len(blocks),
        iterations=sum(map(len, blocks)),
        median_ms=middle / 1e6,
        spread_percent=100 * statistics.median(spreads),
        between_percent=100 * between,
        drift_percent=100 * theil_sen_slope(batches) * (len(batches) - 1) / middle,
        visible_percent=100 * EFFECT * math.sqrt(2 / PAIRS) * between,
    )


def _interquartile_range(values: Sequence[int]) -> float:
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return high - low


def write_network(directory: Path) -> tuple[Path, TensorFile]:
    """Write the network of the check, four 3x3 convolutions of 32 channels at 56x56, and its input.

    Returns:
        The ONNX file and the input, both under `directory`.
    """
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    from vitbench.runtime import write_tensor

    source = np.random.default_rng(0)
    shape = [1, CHANNELS, SIDE, SIDE]
    scale = 1 / math.sqrt(9 * CHANNELS)
    weights = [
        numpy_helper.from_array(
            source.normal(scale=scale, size=(CHANNELS, CHANNELS, 3, 3)).astype(np.float32), f"weight{layer}"
        )
        for layer in range(LAYERS)
    ]
    names = ["input", *(f"hidden{layer}" for layer in range(1, LAYERS)), "output"]
    nodes = [
        helper.make_node("Conv", [names[layer], f"weight{layer}"], [names[layer + 1]], pads=[1, 1, 1, 1])
        for layer in range(LAYERS)
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in (names[0], names[-1])]
    graph = helper.make_graph(nodes, "noise", ends[:1], ends[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    path = directory / "network" / "model.onnx"
    path.parent.mkdir()
    path.write_bytes(model.SerializeToString())
    values = source.normal(size=shape).astype(np.float32)
    return path, write_tensor("input", values, directory / "input.bin")
