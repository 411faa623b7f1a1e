"""What ssh says when it gets no connection, and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Callable

from vitbench.errors import TargetUnreachable, UsageError
from vitbench.transport.posix.process import last_line

# Whoever needs others (a Windows domain, a name in another script) gives the host an alias in ssh's own file.
_HOST = re.compile(r"[A-Za-z0-9_\[:][A-Za-z0-9._:%/\[\]+-]*")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*")


def check_host(host: str) -> str:
    """A host, `user@host` or `ssh://user@host:port` as it is, if ssh can take it for nothing else.

    Raises:
        UsageError: it could be an option, or holds what a shell in ssh's own configuration might read.
    """
    user, at, name = host.removeprefix("ssh://").rpartition("@")
    if (not at or _USER.fullmatch(user)) and _HOST.fullmatch(name):
        return host
    raise UsageError(
        f"{host!r} is no name of a host",
        "give it as HOST or USER@HOST; what that cannot express goes into an alias in ~/.ssh/config",
    )


def refusal(host: str, said: str) -> TargetUnreachable:
    """The error for a connection that was not made.

    Args:
        host: as the user or the target named it.
        said: everything that ssh wrote.
    """
    for pattern, make in _KNOWN:
        if pattern.search(said):
            return make(host, _why(said))
    return TargetUnreachable(
        f"ssh gets no connection to {host}: {_why(said) or 'it says nothing'}",
        f"see that `ssh {host} true` works in a terminal",
        transient=True,
    )


def no_answer(host: str, limit_s: float) -> TargetUnreachable:
    """The error for a host that lets nobody know what becomes of the connection."""
    return TargetUnreachable(
        f"{host} did not answer in {limit_s:g} s",
        f"see that the board is on and not too busy, and that `ssh {host} true` works in a terminal",
        transient=True,
    )


def _why(said: str) -> str:
    return last_line(said).removeprefix("ssh: ")


def _unresolved(host: str, why: str) -> TargetUnreachable:
    _, _, name = host.removeprefix("ssh://").rpartition("@")
    return TargetUnreachable(
        f"nobody knows a host of the name {name}: {why}",
        "name another one with --host USER@ADDRESS, or add these lines to ~/.ssh/config:\n"
        f"    Host {name}\n        HostName ADDRESS\n        User NAME",
        transient="emporary failure" in why,
    )


def _changed(host: str, why: str) -> TargetUnreachable:
    return TargetUnreachable(
        f"{host} shows another host key than it used to: another machine may be answering",
        "if the board was installed anew, remove the old key with `ssh-keygen -R HOST` as ssh says it in "
        f"`ssh {host} true`; if not, find out who answers",
    )


def _unknown(host: str, why: str) -> TargetUnreachable:
    return TargetUnreachable(
        f"the host key of {host} is not known here",
        f"connect once by hand (`ssh {host}`), compare the fingerprint with the board's and accept it; "
        "where many boards are set up, `ssh-keyscan` writes them into ~/.ssh/known_hosts",
    )


def _denied(host: str, why: str) -> TargetUnreachable:
    return TargetUnreachable(
        f"{host} lets nobody in with the keys there are: {why}",
        f"put a key on the board with `ssh-copy-id {host}`, see that the user is right (USER@HOST), and load "
        "a key that has a passphrase with `ssh-add`: nothing is asked here",
    )


def _refused(host: str, why: str) -> TargetUnreachable:
    return TargetUnreachable(
        f"{host} refuses the connection: {why}",
        "see that an ssh server runs on the board (`systemctl status ssh`) and that the port is right",
        transient=True,
    )


def _unreachable(host: str, why: str) -> TargetUnreachable:
    return TargetUnreachable(
        f"{host} does not answer: {why}",
        "see that the board is on and on this network, and that the address is right",
        transient=True,
    )


def _lost(host: str, why: str) -> TargetUnreachable:
    return TargetUnreachable(
        f"{host} ended the connection while it was being made: {why}",
        f"see `ssh -v {host} true`, and the log of the ssh server on the board",
        transient=True,
    )


_KNOWN: tuple[tuple[re.Pattern[str], Callable[[str, str], TargetUnreachable]], ...] = (
    (re.compile("Could not resolve hostname"), _unresolved),
    (re.compile("HOST IDENTIFICATION HAS CHANGED|host key .* has changed", re.IGNORECASE), _changed),
    (re.compile("Host key verification failed|host key is known for"), _unknown),
    (re.compile("Permission denied|Too many authentication failures|No more authentication"), _denied),
    (re.compile("Connection refused"), _refused),
    (re.compile("timed out|No route to host|Network is unreachable|Host is down"), _unreachable),
    (re.compile("Connection (?:reset|closed)|kex_exchange|banner", re.IGNORECASE), _lost),
)
