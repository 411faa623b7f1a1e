"""A scripted target: an agent on this machine whose link can be lost at a scripted moment."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from typing import Any, ClassVar

from vitbench.catalog.specs import SimScript, TargetSpec
from vitbench.errors import TargetUnreachable
from vitbench.transport.channel import Channel
from vitbench.transport.local import LocalTransport


class SimTransport(LocalTransport):
    """The local transport, but in block `lose_link_in_block` the link goes, once.

    It goes during the request that would take the block past `lose_link_after` timed iterations.
    """

    name: ClassVar[str] = "sim"

    def __init__(self, target: TargetSpec) -> None:
        super().__init__(target)
        assert target.sim is not None  # TargetSpec sees to it
        self.script: SimScript = target.sim
        self.link_was_lost = False

    def _open_channel(self, process: subprocess.Popen[bytes], label: str) -> Channel:
        return SimChannel(process, label, self)


class SimChannel(Channel):
    """A channel that counts the timed iterations of its block."""

    def __init__(self, process: subprocess.Popen[bytes], label: str, transport: SimTransport) -> None:
        super().__init__(process, label)
        self._transport = transport
        self._block: int | None = None
        self._timed = 0

    def request(self, message: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
        """Pass a request on, unless the script says that the link is lost during it."""
        if message["op"] == "load":
            self._block = message["options"].get("block")
        if message["op"] == "measure":
            self._timed += message["n"]
            self._lose_link()
        return super().request(message, timeout_s)

    def _lose_link(self) -> None:
        script = self._transport.script
        due = script.lose_link_in_block is not None and script.lose_link_in_block == self._block
        if due and self._timed > script.lose_link_after and not self._transport.link_was_lost:
            self._transport.link_was_lost = True
            self.kill()
            raise TargetUnreachable(
                f"the link to {self.label} was lost, as its script says",
                "the block can be measured again",
                transient=True,
            )
