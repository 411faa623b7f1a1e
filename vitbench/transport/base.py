"""What every way to reach a device can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from vitbench.catalog.specs import TargetSpec
from vitbench.transport.channel import Channel


@dataclass(frozen=True)
class Completed:
    """A program that ran on the device: return code (negative: the signal that killed it), and its output."""

    returncode: int
    stdout: str
    stderr: str


class Transport(ABC):
    """A way to reach one target; a context manager that leaves nothing behind on the device.

    Paths on the device are plain strings, because the device need not be of this machine's kind.

    Attributes:
        held: what is held on the device for as long as this link is open, for the record.
    """

    name: ClassVar[str]

    def __init__(self, target: TargetSpec) -> None:
        self.target = target
        self.held: dict[str, bool | str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def push(self, local: Path) -> str:
        """Make a file, or a directory with all it holds, available on the device; return its path there."""

    @abstractmethod
    def pull(self, remote: str, local: Path) -> None:
        """Copy a file of the device to `local`, whole or not at all."""

    @abstractmethod
    def scratch(self) -> str:
        """Path of a new, empty directory on the device that ends with this transport."""

    @abstractmethod
    def execute(self, argv: Sequence[str], timeout_s: float) -> Completed:
        """Run a program on the device, without a shell.

        Raises:
            ToolError: no such program, or it did not end in time.
        """

    @abstractmethod
    def start_agent(self, label: str) -> Channel:
        """Start a fresh agent process on the device.

        Args:
            label: names the agent in messages: "onnxruntime agent on `cpu`".
        """

    @abstractmethod
    def describe(self) -> dict[str, str]:
        """How the device was reached, for the record."""

    @abstractmethod
    def close(self) -> None:
        """Remove what was put on the device. Safe to call twice."""
