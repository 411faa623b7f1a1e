"""A scripted device: no network runs, and time is simulated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from vitbench.runtime.base import ProtocolFacts, Runtime, StreamFacts, check_options


class SimRuntime(Runtime):
    """Latencies, heat and failures as the target's `[sim]` table says.

    Option of the target: `streams`, which work at once where throughput is measured (default 1: none does).
    """

    name: ClassVar[str] = "sim"
    artifact_format: ClassVar[str | None] = None

    def version(self) -> str:
        """Version of the script language."""
        return "1"

    def load_options(
        self,
        *,
        threads: int | None = None,
        affinity: tuple[int, ...] | None = None,
        block: int = 0,
        model: str = "",
    ) -> dict[str, Any]:
        """The script, and what chooses its random numbers: block and model. Threads change nothing."""
        check_options(self.target, {"streams": int})
        assert self.target.sim is not None  # TargetSpec sees to it
        return {"script": self.target.sim.model_dump(), "block": block, "model": model}

    def protocol_facts(self, options: Mapping[str, Any]) -> ProtocolFacts:
        """Copies are part of the script and timed."""
        return {
            "transfers": "timed",
            "zero_copy": False,
            "spin_wait": False,
            "cuda_graph": False,
            "streams": 1,
        }

    def stream_facts(self, options: Mapping[str, Any]) -> StreamFacts | None:
        """As many streams as the target says; one alone overlaps with nothing."""
        streams: int = self.target.options.get("streams", 1)
        return {"streams": streams, "overlap": True} if streams > 1 else None
