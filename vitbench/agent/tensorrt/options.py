"""What decides an engine, read from a request: nothing is left to a default of TensorRT."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Optional

from ..errors import AgentError

PRECISIONS = ("fp32", "fp16")
# Whether the times of tactics that earlier builds measured are used, and whether new ones are kept.
TIMING_CACHES = ("keep", "pin", "off")


class BuildOptions:
    """What decides an engine, beside the graph and the machine.

    Args:
        options: `precision` of the graph ("fp32" or "fp16"), `islands` (names of nodes that must stay in
            fp32), `tf32` (whether fp32 products may be rounded to TF32), `workspace_mb` (units of 2**20
            bytes), `optimization_level` (0 to 5, where there are levels), `avg_timing` (runs of a tactic
            that are averaged), `timing_cache` ("keep", "pin": used as it is and never written, "off"),
            `device` (number of the GPU), `directory` (of the engines; the user's cache when None),
            `rebuild` (although there is one, and with times of tactics measured anew unless they are pinned).

    Raises:
        AgentError: one is missing, unknown, or not of its kind.
    """

    def __init__(self, options: Dict[str, Any]) -> None:
        rest = dict(options)

        def take(name: str, fits: Callable[[Any], bool], what: str) -> Any:
            value = rest.pop(name, None)
            if not fits(value):
                raise AgentError("usage", f"{name} must be {what}, not {value!r}")
            return value

        self.precision: str = take("precision", PRECISIONS.__contains__, "one of fp32, fp16")
        self.islands: List[str] = take("islands", _is_names, "a list of names")
        self.tf32: bool = take("tf32", _is_bool, "a boolean")
        self.workspace_mb: int = take("workspace_mb", _is_positive, "a positive integer")
        self.optimization_level: int = take("optimization_level", range(6).__contains__, "from 0 to 5")
        self.avg_timing: int = take("avg_timing", _is_positive, "a positive integer")
        self.timing_cache: str = take("timing_cache", TIMING_CACHES.__contains__, "one of keep, pin, off")
        self.device: int = take("device", _is_index, "the number of a GPU")
        self.directory: Optional[str] = take("directory", _is_path, "an absolute path")
        self.rebuild: bool = take("rebuild", _is_bool, "a boolean")
        if rest:
            raise AgentError("usage", f"unknown options of a build: {', '.join(sorted(rest))}")

    def deciding(self) -> Dict[str, Any]:
        """Those on which the engine depends."""
        return {
            "precision": self.precision,
            "islands": sorted(self.islands),
            "tf32": self.tf32,
            "workspace_mb": self.workspace_mb,
            "optimization_level": self.optimization_level,
            "avg_timing": self.avg_timing,
            "timing_cache": self.timing_cache,
        }


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) and name for name in value)


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool)


def _is_positive(value: Any) -> bool:
    return type(value) is int and value > 0


def _is_index(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_path(value: Any) -> bool:
    return value is None or (isinstance(value, str) and value.startswith("/"))
