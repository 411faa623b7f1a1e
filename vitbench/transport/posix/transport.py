"""What every transport does whose device keeps files under the hash of their content."""

from __future__ import annotations

import contextlib
import secrets
from pathlib import Path

from vitbench.catalog.specs import TargetSpec
from vitbench.errors import VitbenchError
from vitbench.transport.base import Transport
from vitbench.transport.posix.link import Link
from vitbench.transport.posix.quoting import quote
from vitbench.transport.posix.store import Store

CLOSE_S = 10.0


class StoreTransport(Transport):
    """Files by a store, commands by a link; a derived class makes both."""

    _link: Link
    _store: Store

    def __init__(self, target: TargetSpec) -> None:
        super().__init__(target)
        self._scratch: list[str] = []

    def push(self, local: Path) -> str:
        """Put a file or a directory on the device under the hash of its content, unless it is there whole.

        Programs (marked executable here, or starting as one) get mode 755, other files 644.

        Raises:
            UsageError: it cannot be read here.
            ToolError: there is no space for it, or the device refuses it.
            TargetUnreachable: the link was lost and did not come back.
        """
        return self._store.push(local)

    def pull(self, remote: str, local: Path) -> None:
        """Copy a file of the device to `local`, whole or not at all.

        Raises:
            UsageError: it cannot be written here.
            ToolError: the device has no such file.
            TargetUnreachable: the link was lost and did not come back.
        """
        self._store.pull(remote, local)

    def scratch(self) -> str:
        """Path of a new, empty directory on the device that ends with this transport."""
        path = f"{self._store.base}/scratch-{secrets.token_hex(8)}"
        self._scratch.append(path)
        self._link.ask(f"mkdir -p {quote(path)}")
        return path

    def _remove_scratch(self) -> None:
        """Remove the scratch directories; pushed files stay for the next time. Never raises."""
        scratch, self._scratch = self._scratch, []
        if scratch:
            with contextlib.suppress(VitbenchError, OSError):
                self._link.call(["rm", "-rf", *scratch], CLOSE_S)
