"""Refuse what cannot fit in memory before any is taken."""

from __future__ import annotations

import math

from vitbench.catalog.specs import Workload
from vitbench.counting import ModelCounts
from vitbench.errors import UsageError
from vitbench.export.normaliser import CROPS
from vitbench.export.onnx_graph import EMBEDDED_LIMIT_BYTES

FLOAT_BYTES = 4
# The exporter's libraries and the first use of everything.
LIBRARIES_BYTES = 250_000_000
# While a graph with its weights inside is written: the network, its graph (which has linear weights the other
# way round), the message made of that, and its bytes. Weights in a file of their own go there one by one.
# Train form and inference form are both there only for the moment in which one is made of the other.
WEIGHT_COPIES = 4
WEIGHT_COPIES_EXTERNAL = 3
# Kernels take scratch memory beside the tensors, and the allocator keeps some of what was given back.
ACTIVATION_COPIES = 1.5
GB = 1e9


def needed_bytes(counts: ModelCounts, workload: Workload) -> int:
    """Estimate of the memory that making an artifact takes.

    That is the weights in every form, and the most that activations hold: those of one inference, or, for the
    image of the zero normaliser, all that are computed before it, of which gradients are made.

    Args:
        counts: of the workload.
    """
    weights = FLOAT_BYTES * counts.params
    copies = WEIGHT_COPIES_EXTERNAL if weights > EMBEDDED_LIMIT_BYTES else WEIGHT_COPIES
    sides = workload.model.resolution
    crop = math.prod(min(side, CROPS[-1]) for side in sides) / math.prod(sides)
    gradients = crop * counts.before_normaliser_bytes / workload.batch
    activations = max(counts.peak_activation_bytes, counts.peak_reference_bytes, gradients)
    return LIBRARIES_BYTES + copies * weights + round(ACTIVATION_COPIES * activations)


def refuse_what_does_not_fit(workload: Workload, counts: ModelCounts, available_bytes: int) -> None:
    """Compare the estimate with the memory there is.

    Raises:
        UsageError: it is more; the message has both figures.
    """
    needed = needed_bytes(counts, workload)
    if needed > available_bytes:
        raise UsageError(
            f"{workload.label} needs about {needed / GB:,.1f} GB of memory, "
            f"and {available_bytes / GB:,.1f} GB are available",
            "choose a smaller resolution or batch",
        )
