"""ONNX Runtime on a CPU."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from typing import Any, ClassVar

from vitbench.errors import UsageError
from vitbench.runtime.base import ProtocolFacts, Runtime, check_options


class OnnxRuntime(Runtime):
    """One sequential session; inputs are bound where they lie, so placing them copies nothing.

    Options of the target: `spin_wait` (idle workers spin; default true, as more than one thread is slower
    without) and `affinity` (list of CPUs).
    """

    name: ClassVar[str] = "onnxruntime"
    artifact_format: ClassVar[str | None] = "onnx"
    in_turns: ClassVar[bool] = True

    def version(self) -> str:
        """Version of the installed package."""
        try:
            return metadata.version("onnxruntime")
        except metadata.PackageNotFoundError:
            raise UsageError("onnxruntime is not installed", "pip install onnxruntime") from None

    def load_options(
        self,
        *,
        threads: int | None = None,
        affinity: tuple[int, ...] | None = None,
        block: int = 0,
        model: str = "",
    ) -> dict[str, Any]:
        """Threads, spinning and affinity, each stated."""
        check_options(self.target, {"spin_wait": bool, "affinity": list})
        cpus = self.target.options.get("affinity") if affinity is None else affinity
        return {
            "threads": threads or self.target.threads,
            "spin_wait": self.target.options.get("spin_wait", True),
            "affinity": None if cpus is None else list(cpus),
        }

    def profile_options(self, options: Mapping[str, Any], directory: str) -> dict[str, Any]:
        """The same, and the directory of the runtime's profile."""
        return {**options, "profile": directory}

    def protocol_facts(self, options: Mapping[str, Any]) -> ProtocolFacts:
        """Input and output are timed; the input needs no copy."""
        return {
            "transfers": "timed",
            "zero_copy": True,
            "spin_wait": bool(options["spin_wait"]),
            "cuda_graph": False,
            "streams": 1,
        }
