"""What every way to run an artifact on a device states about itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, ClassVar, TypedDict

from vitbench.catalog.specs import TargetSpec
from vitbench.errors import UsageError
from vitbench.records.schema import Transfers


class ProtocolFacts(TypedDict):
    """The fields of a record's protocol that the runtime decides."""

    transfers: Transfers
    zero_copy: bool
    spin_wait: bool
    cuda_graph: bool
    streams: int


class Runtime(ABC):
    """A runtime as one target uses it.

    Attributes:
        name: what targets and the agent call it.
        artifact_format: format of the artifact it runs ("onnx"); None where it runs no network.
    """

    name: ClassVar[str]
    artifact_format: ClassVar[str | None]

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
