"""The script that runs on the board as long as the connection lasts, and holds the board for one job."""

from __future__ import annotations

import getpass
import os
import platform
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass

from vitbench.transport.posix.quoting import quote
from vitbench.transport.posix.remote import reap

# One process may reach one board as two targets: it does not wait for itself.
PROCESS = secrets.token_hex(8)

# The lock ends with this shell, and this shell with its input: with the connection, or the host's process.
# Where this very process holds the lock already, one more waits for it in the background.
GUARD = """\
{reap}umask 077
T={token}
printf '%s home %s\\n' $T "$HOME"
command -v flock >/dev/null || {{ echo $T no-flock; exit; }}
mkdir -p "$HOME/.cache/vitbench" && cd "$HOME/.cache/vitbench" || exit
# Boards may share one home directory.
L=lock-$(uname -n)
exec 9>>"$L" || exit
W=
until flock -n 9; do
  H=
  read -r H 2>/dev/null <"$L.holder"
  case $H in {process}*) flock 9 </dev/null >/dev/null 2>&1 & W=$!; break;; esac
  printf '%s held %s\\n' $T "$H" || exit
  sleep 1
done
[ -n "$W" ] || printf '%s\\n' {holder} >"$L.holder"
echo $T ready
read -r X
[ -z "$W" ] || kill $W
"""


@dataclass(frozen=True)
class Said:
    """One thing the guard says: `home`, `held`, `no-flock` or `ready`, and of what."""

    what: str
    of: str


def script(token: str, lost: Sequence[str] = ()) -> str:
    """The script.

    Args:
        token: begins every line that it says.
        lost: tokens of what an earlier connection of ours may have left running; it is ended first.
    """
    holder = f"{PROCESS} {_who()}"
    return GUARD.format(reap="".join(map(reap, lost)), token=token, process=PROCESS, holder=quote(holder))


def parse(token: str, line: bytes) -> Said | None:
    """What a line says; None where it is not the guard's."""
    mark, _, rest = line.decode("utf-8", "surrogateescape").rstrip("\n").partition(" ")
    if mark != token:
        return None
    what, _, of = rest.partition(" ")
    return Said(what, of.partition(" ")[2] if what == "held" else of)


def _who() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    clock = time.strftime("%Y-%m-%d %H:%M %Z")
    return f"{user}@{platform.node()}, process {os.getpid()}, since {clock}"
