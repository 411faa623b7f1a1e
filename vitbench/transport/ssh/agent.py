"""The agent on a board: the Python it runs under, and its end told from that of the link."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vitbench.errors import TargetUnreachable, ToolError, VitbenchError
from vitbench.transport.channel import Channel
from vitbench.transport.posix.process import last_line
from vitbench.transport.posix.quoting import command_line, quote
from vitbench.transport.posix.remote import SIGNALS
from vitbench.transport.ssh.link import BoardLink

OLDEST = (3, 8)
# `-P`, without which the directory of the program comes first of all that is imported, came with this one.
FIRST_WITH_SAFE_PATH = (3, 11)
# In the words of every Python there is, so that one that is too old can say so.
FACTS = """\
import os, sys
try:
    import sysconfig
    managed = os.path.exists(os.path.join(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED"))
except Exception:
    managed = False
try:
    import importlib.util
    pip = importlib.util.find_spec("pip") is not None
except Exception:
    pip = False
import json
print(json.dumps([list(sys.version_info[:3]), sys.executable, managed, pip]))
"""
# What the agent says of a package that the board does not have: its module, by the name of its package.
_ABSENT = re.compile(r"^(\w+) cannot be imported|No module named '(\w+)")
PACKAGES = {"ai_edge_litert": "ai-edge-litert", "litert": "ai-edge-litert"}


@dataclass(frozen=True)
class BoardPython:
    """The `python3` of a board.

    Attributes:
        version: its three numbers.
        executable: path on the board.
        managed: whether the system refuses `pip install` outside of virtual environments.
        pip: whether it has pip.
    """

    version: tuple[int, ...]
    executable: str
    managed: bool
    pip: bool

    @property
    def told(self) -> str:
        """The version as people write it."""
        return ".".join(map(str, self.version))

    def flags(self) -> list[str]:
        """Flags under which neither the environment nor the working directory changes what is imported.

        The user's own site-packages count: that is where a board without root gets its runtime from.
        """
        safe_path = ["-P"] if self.version >= FIRST_WITH_SAFE_PATH else []
        return ["-E", *safe_path, "-X", "faulthandler"]

    def install_hint(self, host: str, package: str) -> str:
        """How to install a package for it."""
        anyway = " --break-system-packages" if self.managed else ""
        first = "" if self.pip else f"`ssh {host} sudo apt-get install python3-pip`, then "
        return f"install it there: {first}`ssh {host} python3 -m pip install --user{anyway} {package}`"


def find_python(link: BoardLink, program: str = "python3") -> BoardPython:
    """The Python of a board.

    Args:
        program: its path there, or a name that is found there.

    Raises:
        ToolError: there is none, or none that is new enough.
        TargetUnreachable: the link stays lost.
    """
    wanted = ".".join(map(str, OLDEST))
    done = link.call_again(
        ["sh", "-c", f"command -v {quote(program)} >&2 || exit 127\n{quote(program)} -E -c {quote(FACTS)}"],
        60,
    )
    if done.returncode == 127:
        raise ToolError(
            f"{link.device} has no {program}, under which the agent runs",
            f"install Python {wanted} or later there: `ssh {link.host} sudo apt-get install python3`",
        )
    try:
        version, executable, managed, pip = json.loads(last_line(done.stdout))
        found = BoardPython(tuple(map(int, version)), str(executable), bool(managed), bool(pip))
    except (ValueError, TypeError):
        raise ToolError(
            f"{program} on {link.device} does not work: {last_line(done.stderr) or 'it says nothing'}",
            f"see `ssh {link.host} {program} --version`",
            tail=done.stderr.strip(),
        ) from None
    if found.version < OLDEST:
        raise ToolError(
            f"{program} on {link.device} is {found.told}, and the agent needs {wanted} or later",
            f"install a newer one there and let `ssh {link.host} {program} --version` name it",
        )
    return found


def agent_script(python: BoardPython, directory: str, agent: str, token: str) -> str:
    """A script that runs the agent on its own input and output, and then tells that and how it ended.

    The agent gets the token as an argument, which it does not read, to be found by.
    """
    line = command_line([python.executable or "python3", *python.flags(), agent, token])
    return f"cd {quote(directory)} && {line}\nC=$?\nprintf '\\n%s\\n' '{token}:'$C >&2\n"


class BoardChannel(Channel):
    """A channel over ssh, which tells an agent that died from one that nobody hears any more.

    Args:
        process: the ssh that carries it.
        label: names the agent in messages.
        link: the link, which is told of what it may have left running.
        python: what the agent runs under.
        token: of `agent_script`.
    """

    def __init__(
        self, process: subprocess.Popen[bytes], label: str, link: BoardLink, python: BoardPython, token: str
    ) -> None:
        super().__init__(process, label)
        self._link = link
        self._python = python
        self._token = token

    def request(self, message: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
        """Send one request and return its reply.

        Raises:
            TargetUnreachable: the link was lost; transient.
            ToolError: the agent is dead, does not answer in time, or misses a package on the board.
        """
        reply = super().request(message, timeout_s)
        absent = _ABSENT.search(str(reply.get("error", {}).get("message", "")))
        if absent and not reply.get("ok"):
            module = absent[1] or absent[2]
            package = PACKAGES.get(module, module)
            self.kill()
            raise ToolError(
                f"{self.label}: {package} is not there for python3 ({self._python.told}): "
                f"{reply['error']['message']}",
                self._python.install_hint(self._link.host, package),
                tail=self.tail(),
            )
        return reply

    def tail(self) -> str:
        """The last lines of the agent's stderr, without our own."""
        lines = super().tail().splitlines()
        return "\n".join(line for line in lines if not line.startswith(f"{self._token}:")).strip("\n")

    def _ended(self, op: str, returncode: int) -> VitbenchError:
        found = re.search(rf"^{self._token}:(\d+)$", super().tail(), re.MULTILINE)
        if found:
            code = int(found[1])
            return super()._ended(op, 128 - code if code in SIGNALS else code)
        self._link.leave(self._token)
        said = last_line(self.tail()) if returncode == 255 else ""
        return TargetUnreachable(
            f"the link to {self._link.device} was lost during `{op}` of the {self.label}"
            + (f" (last heard: {said})" if said else ""),
            "see to the network and the board; the block can be measured again",
            transient=True,
        )
