"""TensorRT's Python package, imported only where a GPU is there: without one it ends the process."""

from __future__ import annotations

import re
import sys
from typing import Any, List

from ..errors import AgentError

# Set by stand-ins of the package, as those of the tests are: what they tell is no measurement.
STAND_IN = "VITBENCH_STAND_IN"
MAX_LINES = 8
_MEMORY = re.compile(r"out ?of ?memory|insufficient memory|memory .*could not be allocated", re.IGNORECASE)


def load() -> Any:
    """The package `tensorrt`.

    Raises:
        AgentError: it is not installed, or does not load.
    """
    try:
        import tensorrt
    except ImportError as error:
        raise AgentError("runtime", f"this Python ({sys.executable}) has no TensorRT: {error}") from None
    return tensorrt


def is_stand_in(trt: Any) -> bool:
    """Whether the package is a stand-in, which measures nothing."""
    return bool(getattr(trt, STAND_IN, False))


def make_logger(trt: Any) -> Any:
    """A logger that writes warnings and errors to stderr; its `errors` are the messages of the errors."""

    class Logger(trt.ILogger):  # type: ignore[misc]
        """Keeps errors, and lets everything from warnings on be read."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: List[str] = []
            self.warnings = 0

        def log(self, severity: Any, message: str) -> None:
            """Take one message."""
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                self.errors.append(str(message))
            elif severity == trt.ILogger.WARNING:
                self.warnings += 1
            else:
                return
            print(f"[TensorRT] {message}", file=sys.stderr, flush=True)

    return Logger()


def failure(what: str, logger: Any) -> AgentError:
    """What TensorRT failed at, with the errors that it logged."""
    told = "; ".join(line.strip() for line in logger.errors[-MAX_LINES:])
    kind = "memory" if _MEMORY.search(told) else "runtime"
    return AgentError(kind, f"TensorRT {what}: {told or 'it says no more'}")
