"""Refuse what cannot fit in memory before any is taken."""

from __future__ import annotations

from vitbench.catalog.specs import Workload
from vitbench.counting import ModelCounts
from vitbench.errors import UsageError

FLOAT_BYTES = 4
# Train form, inference form, the graph that is being exported, and its bytes on their way to disk.
WEIGHT_COPIES = 4
GB = 1e9


def needed_bytes(counts: ModelCounts) -> int:
    """Estimate of the memory that exporting takes: weights in every form, live tensors of one inference."""
    return WEIGHT_COPIES * FLOAT_BYTES * counts.params + counts.peak_activation_bytes


def refuse_what_does_not_fit(workload: Workload, counts: ModelCounts, available_bytes: int) -> None:
    """Compare the estimate with the memory there is.

    Raises:
        UsageError: it is more; the message has both figures.
    """
    needed = needed_bytes(counts)
    if needed > available_bytes:
        raise UsageError(
            f"{workload.label} needs about {needed / GB:,.1f} GB of memory, "
            f"and {available_bytes / GB:,.1f} GB are available",
            "choose a smaller resolution or batch",
        )
