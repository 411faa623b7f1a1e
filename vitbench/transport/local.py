"""This machine, reached as if it were another: files, programs, and agents in processes of their own."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import signal
import site
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from vitbench.catalog.specs import TargetSpec
from vitbench.errors import ToolError, UsageError
from vitbench.transport.base import Completed, Transport
from vitbench.transport.channel import Channel
from vitbench.transport.zipapp import build_zipapp

OLDEST = (3, 8)
# `-P`, without which the directory of the program comes first of all that is imported, came with this one.
FIRST_WITH_SAFE_PATH = (3, 11)


@dataclass(frozen=True)
class Python:
    """An interpreter of this machine, and the flags under which an agent runs there."""

    executable: str
    version: str
    flags: tuple[str, ...]

    @classmethod
    def this(cls) -> Python:
        """The one that runs this."""
        return cls(sys.executable, platform.python_version(), tuple(interpreter_flags()))


class LocalTransport(Transport):
    """Files stay where they are; the agent runs under the target's `python`, else the one that runs this."""

    name: ClassVar[str] = "local"

    def __init__(self, target: TargetSpec) -> None:
        super().__init__(target)
        self._directory = Path(tempfile.mkdtemp(prefix="vitbench-"))
        self._agent: Path | None = None
        self._found: Python | None = None

    def push(self, local: Path) -> str:
        """Return the absolute path of a file or directory, which is there already."""
        if not local.exists():
            raise UsageError(f"no file {local}")
        return str(local.resolve())

    def pull(self, remote: str, local: Path) -> None:
        """Copy a file to `local`, whole or not at all."""
        partial = local.with_name(f".{local.name}.partial")
        try:
            shutil.copyfile(remote, partial)
            partial.replace(local)
        except OSError as error:
            raise UsageError(f"cannot copy {remote} to {local}: {error.strerror}") from None

    def scratch(self) -> str:
        """Path of a new, empty directory that ends with this transport."""
        return tempfile.mkdtemp(dir=self._directory)

    def execute(self, argv: Sequence[str], timeout_s: float) -> Completed:
        """Run a program, without a shell and without input.

        One that takes too long, or that nobody waits for any more, ends with all that it started.
        """
        try:
            process = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise ToolError(f"cannot run `{argv[0]}`: {error.strerror}") from None
        with process:
            try:
                streams = process.communicate(timeout=timeout_s)
            except BaseException as error:
                with contextlib.suppress(OSError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()  # leaving the block does not, after Ctrl-C
                if isinstance(error, subprocess.TimeoutExpired):
                    raise ToolError(f"`{argv[0]}` did not end in {timeout_s:g} s") from None
                raise
        out, err = (stream.decode(errors="replace") for stream in streams)
        return Completed(process.returncode, out, err)

    def start_agent(self, label: str) -> Channel:
        """Start a fresh agent in a session of its own, so that Ctrl-C reaches only the host."""
        python = self._python()
        if self._agent is None:
            self._agent = build_zipapp(self._directory / "agent.pyz")
        process = subprocess.Popen(
            [python.executable, *python.flags, str(self._agent)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self._directory,
            start_new_session=True,
        )
        return self._open_channel(process, label)

    def _open_channel(self, process: subprocess.Popen[bytes], label: str) -> Channel:
        return Channel(process, label)

    def describe(self) -> dict[str, str]:
        """Transport and Python."""
        python = self._python()
        return {"transport": self.name, "python": python.version, "executable": python.executable}

    def _python(self) -> Python:
        """What the agent runs under; another Python than this one is asked once what it is."""
        if self._found is None:
            chosen = self.target.python
            self._found = Python.this() if chosen is None else self._ask_python(chosen)
        return self._found

    def _ask_python(self, chosen: str) -> Python:
        # Agents run in another directory. (Links are left alone: they tell environments from each other.)
        executable = str(Path(chosen).expanduser().absolute()) if "/" in chosen else chosen
        wanted = 'name one that runs in the target\'s file: `python = "/path/to/python3"`'
        try:
            done = self.execute([executable, "-E", "-c", "import sys; print(*sys.version_info[:3])"], 60)
            version = tuple(int(number) for number in done.stdout.split())
        except ToolError as error:
            raise UsageError(f"target '{self.target.name}': {error.message}", wanted) from None
        except ValueError:
            version = ()
        if done.returncode or not version:
            raise UsageError(f"target '{self.target.name}': `{executable}` is no Python that works", wanted)
        told = ".".join(map(str, version))
        if version < OLDEST:
            oldest = ".".join(map(str, OLDEST))
            raise UsageError(
                f"target '{self.target.name}': `{executable}` is Python {told}, and the agent needs {oldest}",
                wanted,
            )
        safe_path = ["-P"] if version >= FIRST_WITH_SAFE_PATH else []
        return Python(executable, told, ("-E", *safe_path, "-X", "faulthandler"))

    def close(self) -> None:
        """Remove the working directory."""
        shutil.rmtree(self._directory, ignore_errors=True)


def interpreter_flags() -> list[str]:
    """Flags under which neither the environment nor the working directory changes what the agent imports.

    The user's own site-packages stay out, unless this very process finds its packages there. A runtime that
    crashes leaves the Python stack on stderr.
    """
    user_site = [] if site.ENABLE_USER_SITE and Path(site.getusersitepackages()).is_dir() else ["-s"]
    return ["-E", "-P", *user_site, "-X", "faulthandler"]
