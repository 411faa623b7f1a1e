"""One request, one reply: JSON lines to and from an agent's process."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import IO, Any

from vitbench.errors import ToolError, VitbenchError

TAIL_LINES = 40
MAX_REPLY_BYTES = 256 * 1024 * 1024
EXIT_TIMEOUT_S = 5.0
READ_BYTES = 1 << 20


class Channel:
    """Talk to one agent over the pipes of the process that carries it.

    A reply is awaited in one blocking poll, so that the host costs nothing while the agent is timing.
    A request that fails on the way kills the process: what it would answer later belongs to nobody.

    Args:
        process: started with pipes for stdin, stdout and stderr, in a session of its own.
        label: names the agent in messages: "onnxruntime agent on `cpu`".
    """

    def __init__(self, process: subprocess.Popen[bytes], label: str) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self.label = label
        self._process = process
        self._stdin: IO[bytes] = process.stdin
        self._stdout = process.stdout.fileno()
        self._poller = select.poll()
        self._poller.register(self._stdout, select.POLLIN)
        self._buffer = b""
        self._idle = True
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._drain = threading.Thread(target=self._read_stderr, args=(process.stderr,), daemon=True)
        self._drain.start()

    @property
    def pid(self) -> int:
        """Process id of the process on this machine that carries the agent."""
        return self._process.pid

    def request(self, message: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
        """Send one request and return its reply, whether that says ok or not.

        Raises:
            ToolError: the agent is dead, does not answer in time, or answers no JSON object.
        """
        if not self._idle or self._process.returncode is not None:
            raise ToolError(f"{self.label} has ended", "open a new session", tail=self.tail())
        op = str(message["op"])
        self._idle = False
        self._send(message, op)
        line = self._receive(op, timeout_s)
        try:
            reply = json.loads(line)
        except ValueError:
            reply = None
        if not isinstance(reply, dict):
            self.kill()
            raise ToolError(
                f"{self.label} answered `{op}` with something that is no JSON object: {line[:120]!r}",
                "another program writes to the agent's output; look at the last lines",
                tail=self.tail(),
            )
        self._idle = True
        return reply

    def tail(self) -> str:
        """The last lines of the agent's stderr."""
        return "\n".join(self._tail)

    def close(self) -> None:
        """Say bye and wait for the end; kill an agent that is busy or does not end. Never raises."""
        if self._idle and self._process.poll() is None:
            with contextlib.suppress(VitbenchError, OSError, subprocess.TimeoutExpired):
                self.request({"op": "bye"}, EXIT_TIMEOUT_S)
                self._stdin.close()
                self._process.wait(EXIT_TIMEOUT_S)
        self.kill()

    def kill(self) -> None:
        """Kill the process and everything it started, and free the pipes. Safe to call twice."""
        self._idle = False
        if self._process.poll() is None:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                self._process.kill()
            self._process.wait()
        self._drain.join(EXIT_TIMEOUT_S)
        for pipe in (self._stdin, self._process.stdout, self._process.stderr):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()

    def _send(self, message: Mapping[str, Any], op: str) -> None:
        try:
            self._stdin.write(json.dumps(message).encode() + b"\n")
            self._stdin.flush()
        except (BrokenPipeError, ValueError):
            raise self._death(op) from None

    def _receive(self, op: str, timeout_s: float) -> bytes:
        deadline = time.monotonic() + timeout_s
        chunks = [self._buffer]
        while b"\n" not in chunks[-1]:
            remaining_ms = max(0.0, deadline - time.monotonic()) * 1000
            if not self._poller.poll(min(remaining_ms, 2**31 - 1)):
                self.kill()
                raise ToolError(
                    f"{self.label} did not answer `{op}` in {timeout_s:g} s",
                    "the agent was stopped; see whether the device is busy or the model is too large for it",
                    tail=self.tail(),
                )
            chunk = os.read(self._stdout, READ_BYTES)
            if not chunk or sum(map(len, chunks)) > MAX_REPLY_BYTES:
                raise self._death(op)
            chunks.append(chunk)
        line, _, self._buffer = b"".join(chunks).partition(b"\n")
        return line

    def _death(self, op: str) -> VitbenchError:
        """The error for an agent that ended before it answered `op`."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(EXIT_TIMEOUT_S)
        self.kill()
        return self._ended(op, self._process.returncode)

    def _ended(self, op: str, returncode: int) -> VitbenchError:
        """The error for an agent whose carrier ended with this code during `op`."""
        return ToolError(
            f"{self.label} {describe_exit(returncode)} during `{op}`",
            "the last lines are what it said on stderr",
            tail=self.tail(),
        )

    def _read_stderr(self, pipe: IO[bytes]) -> None:
        for line in pipe:
            self._tail.append(line.decode(errors="replace").rstrip())


def describe_exit(returncode: int) -> str:
    """How a process ended: "exited with code 3", "was killed by signal 11 (SIGSEGV)"."""
    if returncode >= 0:
        return f"exited with code {returncode}"
    try:
        name = f" ({signal.Signals(-returncode).name})"
    except ValueError:
        name = ""
    return f"was killed by signal {-returncode}{name}"
