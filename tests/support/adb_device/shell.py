"""The shell and exec services: commands in the directory that stands for the phone."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import signal
import struct
import subprocess
from pathlib import Path
from typing import IO

from tests.support.adb_device.faults import Faults
from tests.support.adb_device.wire import Closed, Stream

STDIN, STDOUT, STDERR, EXIT, CLOSE_STDIN = range(5)
PACKET = struct.Struct("<BI")
CHUNK = 60_000
# Android's own shell, where this machine has it.
SHELL = shutil.which("mksh") or "/bin/sh"


class Shell:
    """Runs commands.

    A command's absolute paths below one of `mapped` are rewritten into the root: it is no jail.

    Args:
        root: stands for the phone's file system.
        mapped: directories and files of the phone.
        mark: `NAME=value` in the environment of every process, to find them by.
        faults: what goes wrong.
    """

    def __init__(self, root: Path, mapped: tuple[str, ...], mark: str, faults: Faults) -> None:
        names = "|".join(re.escape(path) for path in mapped)
        self._paths = re.compile(rf"(?<![\w/.])(?:{names})(?=/|\b)")
        self._root = root
        self._faults = faults
        name, _, value = mark.partition("=")
        self._environment = {
            "PATH": f"{root}/bin:/usr/bin:/bin",
            "HOME": "/",
            "TMPDIR": f"{root}/data/local/tmp",
            "ANDROID_DATA": f"{root}/data",
            name: value,
        }

    async def run(self, stream: Stream, command: str, *, v2: bool, merge: bool) -> None:
        """Run one command to its end; where the host goes away it gets SIGHUP and closed pipes."""
        line = self._paths.sub(lambda found: f"{self._root}{found[0]}", command)
        process = subprocess.Popen(
            [SHELL, "-c", line],
            cwd=self._root,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if merge else subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        talk = Packets(stream) if v2 else Bytes(stream)
        ended = asyncio.get_running_loop().run_in_executor(None, process.wait)
        async with Pipes() as pipes:
            writer = await pipes.open_write(process.stdin)
            readers = [(STDOUT, await pipes.open_read(process.stdout))]
            if process.stderr is not None:
                readers.append((STDERR, await pipes.open_read(process.stderr)))
            feed = asyncio.create_task(self._feed(talk, writer))
            drain = asyncio.gather(*(self._drain(reader, talk, kind) for kind, reader in readers))
            try:
                await asyncio.wait((feed, drain), return_when=asyncio.FIRST_COMPLETED)
                if not drain.done() and not v2:
                    # The host's close is the command's end of input.
                    await asyncio.wait((drain,))
                if not drain.done():
                    raise Closed
                await drain
                await talk.exit(await ended)
            finally:
                feed.cancel()
                drain.cancel()
                await asyncio.gather(feed, drain, return_exceptions=True)
                if not ended.done():
                    with contextlib.suppress(ProcessLookupError):
                        process.send_signal(signal.SIGHUP)

    async def _feed(self, talk: Bytes, writer: asyncio.WriteTransport) -> None:
        """Pass what the host sends to the command; comes back when the host has gone."""
        while (data := await talk.receive()) is not None:
            if data:
                writer.write(data)
            else:
                writer.close()
        writer.close()

    async def _drain(self, reader: asyncio.StreamReader, talk: Bytes, kind: int) -> None:
        while data := await reader.read(CHUNK):
            passing = self._faults.allowed("output", len(data))
            await talk.send(kind, data[:passing])
            self._faults.passed("output", passing)


class Pipes:
    """The device's ends of a command's pipes, closed together."""

    def __init__(self) -> None:
        self._transports: list[asyncio.BaseTransport] = []

    async def __aenter__(self) -> Pipes:
        return self

    async def __aexit__(self, *_: object) -> None:
        for transport in self._transports:
            transport.close()

    async def open_read(self, pipe: IO[bytes]) -> asyncio.StreamReader:
        """Read what the command writes."""
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), pipe
        )
        self._transports.append(transport)
        return reader

    async def open_write(self, pipe: IO[bytes]) -> asyncio.WriteTransport:
        """Write what the command reads."""
        transport, _ = await asyncio.get_running_loop().connect_write_pipe(asyncio.BaseProtocol, pipe)
        self._transports.append(transport)
        return transport


class Bytes:
    """The services without packets: what the host sends is the input."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    async def receive(self) -> bytes | None:
        """What the host sends: nothing for the end of the command's input, None when it has gone."""
        return await self._stream.read_some() or None

    async def send(self, kind: int, data: bytes) -> None:
        """Send output."""
        await self._stream.write(data)

    async def exit(self, code: int) -> None:
        """Nobody is told the code."""


class Packets(Bytes):
    """Shell protocol 2: input, output, errors and the exit code apart."""

    async def receive(self) -> bytes | None:
        """What the host sends: nothing for the end of the command's input, None when it has gone."""
        while True:
            try:
                kind, size = PACKET.unpack(await self._stream.read_exactly(PACKET.size))
                data = await self._stream.read_exactly(size)
            except Closed:
                return None
            if kind == CLOSE_STDIN:
                return b""
            if kind == STDIN and data:
                return data

    async def send(self, kind: int, data: bytes) -> None:
        """Send output of one of the two kinds."""
        await self._stream.write(PACKET.pack(kind, len(data)) + data)

    async def exit(self, code: int) -> None:
        """Tell the exit code; 128 + n for a signal."""
        await self._stream.write(PACKET.pack(EXIT, 1) + bytes([code & 255 if code >= 0 else 128 - code]))
