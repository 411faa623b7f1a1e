"""TFLite on a phone's CPU, by the `benchmark_model` tool: one block is one run of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar, cast

from vitbench.android import state
from vitbench.android.clusters import CLUSTERS, Cluster, mask_for
from vitbench.benchmark_model import binary, flags, place
from vitbench.benchmark_model.binary import Binary
from vitbench.benchmark_model.lines import together
from vitbench.catalog.specs import TargetSpec
from vitbench.errors import UsageError
from vitbench.runtime.base import MadeFor, ProtocolFacts, Runtime, check_options
from vitbench.runtime.litert import LiteRt
from vitbench.runtime.phone import HELP_TIMEOUT_S, PhoneSession, Tool, local_checker, repeated, text_of
from vitbench.runtime.session import AgentSession
from vitbench.runtime.tensors import TensorFile
from vitbench.transport.base import Transport

# Set on a phone that is made up, as those of the tests are: what it tells is no measurement.
STAND_IN = "ro.vitbench.stand_in"


class BenchmarkModel(Runtime):
    """A phone's CPU through XNNPACK. The tool times the inference alone: copies of tensors are absent.

    Options of the target: `binary` (path of the tool on this machine), `cluster` (`little`, `big` or
    `prime`), `fixed_performance` (hold Android's mode for benchmarks, where the phone has it) and `ceiling_c`
    (a block waits while the phone's skin, or else its battery, is warmer).
    """

    name: ClassVar[str] = "benchmark_model"
    artifact_format: ClassVar[str | None] = "tflite"
    checked_by: ClassVar[str | None] = (
        "checked by LiteRT on the host, because benchmark_model gives no outputs"
    )

    def __init__(self, target: TargetSpec) -> None:
        super().__init__(target)
        # By phone and program: what a build knows, and how long a model takes, is asked once.
        self._tools: dict[tuple[int, str], Tool] = {}

    def version(self) -> str:
        """The tool's own hash: it tells no version."""
        return f"sha256:{self.binary((), allow_script=True).sha256[:12]}"

    def made_for(self, transport: Transport | None) -> MadeFor:
        """Artifacts are made for, and checked with, the interpreter of this machine."""
        return LiteRt(self.target).made_for(None)

    def load_options(
        self,
        *,
        threads: int | None = None,
        affinity: tuple[int, ...] | None = None,
        block: int = 0,
        model: str = "",
    ) -> dict[str, Any]:
        """Threads, cluster, and what holds the phone in one state."""
        known = {"binary": str, "cluster": str, "fixed_performance": bool, "ceiling_c": float}
        check_options(self.target, known)
        chosen = self.target.options
        cluster = chosen.get("cluster", "big")
        if cluster not in CLUSTERS:
            raise UsageError(f"unknown cluster '{cluster}'", f"choose one of {', '.join(CLUSTERS)}")
        return {
            "threads": threads or self.target.threads,
            "cluster": cluster,
            "fixed_performance": chosen.get("fixed_performance", True),
            "ceiling_c": chosen.get("ceiling_c"),
        }

    def open_session(
        self,
        transport: Transport,
        model: Path | None,
        options: Mapping[str, Any],
        inputs: Sequence[TensorFile] = (),
    ) -> PhoneSession:
        """Put the tool and a model on the phone; nothing runs yet."""
        if model is None:
            raise UsageError("benchmark_model needs a model", "name one with --model")
        tool, found, mask = self.tool(transport, options)
        return PhoneSession(transport, tool, model, found, mask=mask, options=options)

    def tool(self, transport: Transport, options: Mapping[str, Any]) -> tuple[Tool, state.PhoneState, int]:
        """The tool on the phone, the phone as it is, and the CPUs to keep to.

        Raises:
            UsageError: the tool is not one that this phone executes, or the threads do not fit.
            ToolError: the phone does not answer, or the tool does not start.
        """
        run = text_of(transport)
        found = state.read(run)
        simulated = run(["getprop", STAND_IN]).strip() == "1"
        chosen = self.binary(found.phone.abis, allow_script=simulated)
        mask = mask_for(found.cores, cast(Cluster, options["cluster"]), options["threads"])
        return self.deliver(transport, chosen, simulated=simulated), found, mask

    def binary(self, abis: Sequence[str], *, allow_script: bool) -> Binary:
        """The tool on this machine, for a phone with these ABIs.

        Raises:
            UsageError: there is none, or the phone could not execute it.
        """
        found = place.find(self.target.options.get("binary"), abis)
        if found is None:
            raise UsageError(
                f"target '{self.target.name}' needs a benchmark_model for Android, which no package has",
                f"`vitbench targets setup {self.target.name}` says where to get it and keeps it; or give it "
                f"with {place.OPTION} PATH, or in ${place.VARIABLE}",
            )
        chosen = binary.inspect(found.path, allow_script=allow_script)
        chosen.check_abis(abis)
        return chosen

    def deliver(self, transport: Transport, chosen: Binary, *, simulated: bool) -> Tool:
        """Put the tool on the phone and ask it which flags it knows; the same one is asked once.

        Raises:
            ToolError: it does not start, or is something else.
        """
        program = transport.push(chosen.path)
        key = (id(transport), program)
        if key not in self._tools:
            done = repeated(lambda: transport.execute([program, flags.HELP], HELP_TIMEOUT_S))
            text = together(done.stdout, done.stderr, done.returncode)
            known = flags.read_help(text, done.returncode)
            self._tools[key] = Tool(program, chosen, known, simulated)
        return self._tools[key]

    def host_checker(self, model: Path) -> AbstractContextManager[AgentSession]:
        """LiteRT on this machine."""
        return local_checker(model)

    def refuse_too_many_threads(self, transport: Transport, threads: int) -> None:
        """Threads are counted against the cores of the cluster when a session is opened."""

    def protocol_facts(self, options: Mapping[str, Any]) -> ProtocolFacts:
        """No copy is timed. XNNPACK's idle workers spin before they sleep, which nothing can change."""
        return {
            "transfers": "absent",
            "zero_copy": False,
            "spin_wait": options["threads"] > 1,
            "cuda_graph": False,
            "streams": 1,
        }
