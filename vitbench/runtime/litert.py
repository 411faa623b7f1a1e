"""LiteRT (TensorFlow Lite) on a CPU of this machine, its kernels XNNPACK's."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from typing import Any, ClassVar

from vitbench.errors import UsageError
from vitbench.runtime.base import ProtocolFacts, Runtime, check_options


class LiteRt(Runtime):
    """One interpreter; inputs are copied into its arena and outputs out of it.

    Option of the target: `affinity` (list of CPUs).
    """

    name: ClassVar[str] = "litert"
    artifact_format: ClassVar[str | None] = "tflite"
    in_turns: ClassVar[bool] = True

    def version(self) -> str:
        """Version of the installed package: LiteRT, else TensorFlow, whose interpreter is the fallback."""
        for package, prefix in (("ai-edge-litert", ""), ("tensorflow", "tensorflow ")):
            try:
                return prefix + metadata.version(package)
            except metadata.PackageNotFoundError:
                continue
        raise UsageError(
            "ai-edge-litert is not installed", "pip install -c constraints.txt 'vitbench[tflite]'"
        )

    def load_options(
        self,
        *,
        threads: int | None = None,
        affinity: tuple[int, ...] | None = None,
        block: int = 0,
        model: str = "",
    ) -> dict[str, Any]:
        """Threads and affinity, each stated."""
        check_options(self.target, {"affinity": list})
        cpus = self.target.options.get("affinity") if affinity is None else affinity
        return {"threads": threads or self.target.threads, "affinity": None if cpus is None else list(cpus)}

    def protocol_facts(self, options: Mapping[str, Any]) -> ProtocolFacts:
        """Both copies are timed. XNNPACK's idle workers spin before they sleep, which nothing can change."""
        return {
            "transfers": "timed",
            "zero_copy": False,
            "spin_wait": options["threads"] > 1,
            "cuda_graph": False,
            "streams": 1,
        }
