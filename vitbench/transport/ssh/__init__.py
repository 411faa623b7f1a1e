"""A board behind the `ssh` program."""

from __future__ import annotations

from vitbench.transport.ssh.transport import SshTransport

__all__ = ["SshTransport"]
