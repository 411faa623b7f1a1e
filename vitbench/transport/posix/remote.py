"""The script that carries one command on the device, and what may be believed of its output.

adb 29 ends with code 0 and cut output when the link goes, ssh with a code that programs use as well. So the
script ends both streams with a token that is drawn anew for each call: output without it is no result.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence

from vitbench.transport.base import Completed
from vitbench.transport.posix.process import last_line
from vitbench.transport.posix.quoting import command_line, quote

# What the shell calls itself when it cannot start the program.
STARTER = "vitbench-exec"
# Shells report the death by signal n as 128 + n.
SIGNALS = range(129, 193)
# The longest mark: the token, a colon, three digits, a semicolon.
MARK_BYTES = 64
_NOT_STARTED = re.compile(rf"(?:E: )?{STARTER}: (?:\d+: |line \d+: )?(?:exec: )?(.*)")

# The host holds the other end of the script's input and never writes: its end means that the host has gone,
# the link was lost, or time is up. The program has a session of its own, so that all it started goes with it.
# A shell gives commands in the background an empty input, hence descriptor 3. A hangup can come before the
# program's number is known, hence H.
CARRIER = """\
exec 3<&0
S=setsid G=-
command -v setsid >/dev/null || S= G=
H= P=
trap 'H=1; kill -9 $G$P $P' HUP
$S sh -c 'exec "$@"' {starter} {argv} </dev/null 3<&- &
P=$!
[ -z "$H" ] || kill -9 $G$P $P
(read X <&3; kill -9 $G$P $P) >/dev/null 2>&1 &
W=$!
exec 3<&-
wait $P
C=$?
exec 4>&2 2>/dev/null
kill -9 $W $G$P
printf %s '{token}:'$C';'
printf %s '{token}' >&4
"""

# The input is the content. What has come of it stays, so that the next call can go on there.
FEEDER = """\
exec 3<&0
P=
trap 'kill -9 $P; exit 129' HUP
cat <&3 >>{path} &
P=$!
exec 3<&-
wait $P
C=$?
printf %s '{token}:'$C';'
printf %s '{token}' >&2
"""

# The first letter in brackets keeps the script from finding itself.
REAPER = """\
for F in $(grep -ls '[{first}]{rest}' /proc/[0-9]*/cmdline); do
  F=${{F#/proc/}}
  kill -HUP ${{F%/cmdline}}
done 2>/dev/null
"""


def new_token() -> str:
    """Letters and digits that no program prints by chance."""
    return f"vitbench{secrets.token_hex(12)}"


def carry(argv: Sequence[str], token: str) -> str:
    """The script that runs a program and ends its output with the token and the exit code."""
    return CARRIER.format(starter=quote(STARTER), argv=command_line(argv), token=token)


def feed(path: str, token: str) -> str:
    """The script that appends its input to a file, and ends its output as that of `carry` does."""
    return FEEDER.format(path=quote(path), token=token)


def reap(token: str) -> str:
    """The script that ends what `carry` left running, where the device has not noticed the loss itself."""
    return REAPER.format(first=token[0], rest=token[1:])


def mark_bytes(token: str, out: bytes) -> int:
    """How many bytes of an output that `read` believes are the mark at its end."""
    found = _mark(token, out)
    return found.end() - found.start() if found else 0


def read(token: str, out: bytes, err: bytes) -> Completed | None:
    """What the program of `carry` did; None where its output is not whole."""
    found = _mark(token, out)
    before, marked, after = err.rpartition(token.encode())
    if not found or not marked:
        return None
    code = int(found[1])
    return Completed(
        128 - code if code in SIGNALS else code,
        (out[: found.start()] + out[found.end() :]).decode(errors="replace"),
        (before + after).decode(errors="replace"),
    )


def not_started(done: Completed) -> str | None:
    """What the shell said where it could not start the program; None where it did."""
    found = _NOT_STARTED.match(last_line(done.stderr)) if done.returncode > 0 else None
    return found[1] if found else None


def _mark(token: str, out: bytes) -> re.Match[bytes] | None:
    return re.search(re.escape(token).encode() + rb":(\d+);", out)
