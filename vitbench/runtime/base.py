"""What every way to run an artifact on a device states about itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NotRequired, TypeAlias, TypedDict

from vitbench.catalog.specs import TargetSpec
from vitbench.errors import UsageError
from vitbench.records.schema import Transfers
from vitbench.runtime.session import AgentSession
from vitbench.runtime.tensors import TensorFile
from vitbench.transport.base import Transport

if TYPE_CHECKING:
    from vitbench.export.parity import OutputsSession
    from vitbench.runtime.phone import PhoneSession
    from vitbench.runtime.trtexec_session import TrtexecSession

    AnySession: TypeAlias = AgentSession | PhoneSession | TrtexecSession


class ProtocolFacts(TypedDict):
    """The fields of a record's protocol that the runtime decides."""

    transfers: Transfers
    zero_copy: bool
    spin_wait: bool
    cuda_graph: bool
    streams: int
    overlap: NotRequired[bool]
    mode: NotRequired[str | None]


class StreamFacts(TypedDict):
    """The fields of the protocol that are others where throughput is measured with requests that overlap."""

    streams: int
    overlap: bool


@dataclass(frozen=True)
class MadeFor:
    """What an artifact is made for: name and version of the runtime that runs it, and its graph's format."""

    runtime: str
    version: str
    format: str


class Runtime(ABC):
    """A runtime as one target uses it.

    Attributes:
        name: what targets and the agent call it.
        artifact_format: format of the artifacts it runs ("onnx"); None where it runs no network. See
            `made_for`.
        protocols: ways of timing that it has, as `--protocol` names them.
        in_turns: whether a process of it that waits, and has a single thread, leaves the machine alone, so
            that two of them can be timed in turns.
        checked_by: who checks what an artifact computes, for the record; None where the device itself does.
        checked_here_by: who does where the device is not at hand (`host_checker`); `checked_by` when None.
    """

    name: ClassVar[str]
    artifact_format: ClassVar[str | None]
    protocols: ClassVar[tuple[str, ...]] = ("serial",)
    in_turns: ClassVar[bool] = False
    checked_by: ClassVar[str | None] = None
    checked_here_by: ClassVar[str | None] = None

    def __init__(self, target: TargetSpec) -> None:
        self.target = target

    @abstractmethod
    def version(self) -> str:
        """Version of the runtime, without importing it.

        Raises:
            UsageError: it is not installed.
        """

    @abstractmethod
    def load_options(
        self,
        *,
        threads: int | None = None,
        affinity: tuple[int, ...] | None = None,
        block: int = 0,
        model: str = "",
    ) -> dict[str, Any]:
        """Everything the agent is told at load; nothing is left to a default of the runtime.

        Args:
            threads: of the computation; the target's when None.
            affinity: CPUs to keep to; the target's when None.
            block: index of the block within its run.
            model: name of the model.

        Raises:
            UsageError: the target has an option the runtime does not know, or of the wrong type.
        """

    def made_for(self, transport: Transport | None) -> MadeFor:
        """What its artifacts are made for: itself, as it is installed here, where it runs on its own.

        Args:
            transport: to the device that will run them; None where there is none at hand.

        Raises:
            UsageError: it is not installed, or runs no network.
        """
        if self.artifact_format is None:
            raise UsageError(f"the {self.name} runtime runs no network", "name another target")
        return MadeFor(self.name, self.version(), self.artifact_format)

    def prepare(
        self, transport: Transport, model: Path, *, anew: bool, on_stage: Callable[[str], None]
    ) -> str | None:
        """Make on the device what runs there in place of a model, where that takes long; say what was done.

        `open_session` would do the same, without a word.

        Args:
            model: the artifact's model file on this machine.
            anew: although the device has it already.
            on_stage: told what begins, before it begins.

        Returns:
            What was done, in words; None where nothing is made, or was made before and may stay.

        Raises:
            ToolError: the device cannot make it.
            TargetUnreachable: the link was lost.
        """
        return None

    def open_session(
        self,
        transport: Transport,
        model: Path | None,
        options: Mapping[str, Any],
        inputs: Sequence[TensorFile] = (),
    ) -> AnySession:
        """Start a fresh agent process and load a model in it; see `vitbench.runtime.open_session`."""
        session = AgentSession(
            transport, transport.start_agent(f"{self.name} agent on `{transport.target.name}`")
        )
        try:
            session.load(self.name, model, options, inputs)
        except BaseException:
            session.kill()
            raise
        return session

    def found_on(self, transport: Transport, told: Mapping[str, str]) -> str | None:
        """Version of the runtime on a device; None where it does not have it.

        Args:
            told: versions of the runtimes that the device's agent knows of.
        """
        return told.get(self.name)

    def host_checker(self, model: Path) -> AbstractContextManager[OutputsSession] | None:
        """What computes the outputs of a model on this machine, where the device does not; else None."""
        return None

    def refuse_too_many_threads(self, transport: Transport, threads: int) -> None:
        """Refuse threads beyond the device's CPUs: they wait for each other, and many bring it to a halt.

        Raises:
            UsageError: more were asked for than the target has CPUs to give.
        """
        target = transport.target
        with AgentSession(transport, transport.start_agent(f"agent on `{target.name}`")) as agent:
            cpus = agent.describe().get("allowed_cpus")
        if cpus is not None and threads > len(cpus):
            raise UsageError(
                f"{threads} threads on {target.name}, which has {len(cpus)} CPUs to give",
                f"choose --threads {len(cpus)} or fewer",
            )

    def profile_options(self, options: Mapping[str, Any], directory: str) -> dict[str, Any]:
        """What the agent is told at load where the time of each layer is wanted.

        A runtime that can tell it overrides this.

        Args:
            options: what `load_options` gave.
            directory: an empty directory on the device, for what the runtime writes.

        Raises:
            UsageError: the runtime cannot tell.
        """
        raise UsageError(f"the {self.name} runtime cannot tell the time of each layer")

    @abstractmethod
    def protocol_facts(self, options: Mapping[str, Any]) -> ProtocolFacts:
        """What running with these options means for comparability."""

    def stream_facts(self, options: Mapping[str, Any]) -> StreamFacts | None:
        """How throughput is measured: on so many streams at once; None where one request follows the other.

        A runtime whose agent has several lanes (`vitbench.agent.backends.Overlapping`) overrides this.
        """
        return None


def check_options(target: TargetSpec, known: Mapping[str, type]) -> None:
    """Refuse options of a target that its runtime does not know.

    Raises:
        UsageError: an unknown option (with the nearest known one), or a value of another type.
    """
    for name, value in target.options.items():
        where = f"option '{name}' of target '{target.name}'"
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean `{near[0]}`?" if near else f"it knows {', '.join(known)}"
            raise UsageError(f"{where} is unknown to the {target.runtime} runtime", hint)
        if type(value) is not known[name]:
            raise UsageError(f"{where} must be a {known[name].__name__}, not {value!r}")
