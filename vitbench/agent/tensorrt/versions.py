"""What differs between TensorRT's versions, by their numbers."""

from __future__ import annotations

import re
from typing import Tuple

from ..errors import AgentError

# The first with tensors by name (`set_tensor_address`, `execute_async_v3`).
OLDEST = (8, 5)
# The first whose networks can be strongly typed.
STRONG = (9, 0)
# The first without networks whose batch is implicit, so that nothing else can be asked for.
ALWAYS_EXPLICIT = (10, 0)


def parse(version: str) -> Tuple[int, int]:
    """Major and minor number of a version: (10, 3) of "10.3.0.30".

    Raises:
        AgentError: it does not begin with them, or is older than what can be driven.
    """
    found = re.match(r"(\d+)\.(\d+)", version)
    if not found:
        raise AgentError("runtime", f"TensorRT calls itself '{version}', which is no version")
    numbers = int(found[1]), int(found[2])
    if numbers < OLDEST:
        raise AgentError(
            "usage",
            f"TensorRT {version} is older than {OLDEST[0]}.{OLDEST[1]}, "
            'and has no tensors by name: measure with runtime = "trtexec" there',
        )
    return numbers


def strongly_typed(numbers: Tuple[int, int]) -> bool:
    """Whether the types of the graph bind the builder; before, it may choose others."""
    return numbers >= STRONG
