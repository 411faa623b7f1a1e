"""Refuse what cannot fit in memory before any is taken."""

from __future__ import annotations

from vitbench.catalog.specs import Workload
from vitbench.counting import ModelCounts
from vitbench.errors import UsageError

FLOAT_BYTES = 4
# Train form, inference form, the graph that is being exported, and its bytes on their way to disk.
# The last three come after the image of the zero normaliser, so its gradients have their share as well.
WEIGHT_COPIES = 4
# The counts are of the tensors of one inference. PyTorch's kernels take scratch memory beside them, and the
# image of the zero normaliser its gradients: the resident memory of that step was seen to grow to more than
# twice the counts (b0 at 1024x1024: by 214 MB, where one inference counts 88 MB).
ACTIVATION_COPIES = 2
GB = 1e9


def needed_bytes(counts: ModelCounts) -> int:
    """Estimate of the memory that exporting takes: weights in every form, live tensors of one inference."""
    weights = WEIGHT_COPIES * FLOAT_BYTES * counts.params
    return weights + ACTIVATION_COPIES * counts.peak_activation_bytes


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
