"""How a device is reached: push, pull, execute, and talk to an agent there."""

from __future__ import annotations

from vitbench.catalog.specs import TargetSpec
from vitbench.errors import UsageError
from vitbench.transport import plugins
from vitbench.transport.base import Completed, Transport
from vitbench.transport.channel import Channel

__all__ = ["Channel", "Completed", "Transport", "open"]

GROUP = "vitbench.transports"
BUILTIN = {
    "adb": "vitbench.transport.adb:AdbTransport",
    "local": "vitbench.transport.local:LocalTransport",
    "sim": "vitbench.transport.sim:SimTransport",
    "ssh": "vitbench.transport.ssh:SshTransport",
}


def open(target: TargetSpec) -> Transport:
    """Open the transport that a target names; a context manager.

    Raises:
        UsageError: nobody offers a transport of that name.
    """
    found = plugins.find(GROUP, target.transport, BUILTIN)
    if found is None:
        known = ", ".join(plugins.names(GROUP, BUILTIN))
        raise UsageError(
            f"target '{target.name}' is reached by {target.transport}, which this version cannot do",
            f"the transports here are {known}; a package can add one as entry point `{GROUP}`",
        )
    transport: Transport = found(target)
    return transport
