"""The protocol below every service: packets, one connection to the host, and its streams."""

from __future__ import annotations

import asyncio
import contextlib
import os
import struct
from collections.abc import Awaitable, Callable
from typing import Protocol

HEADER = struct.Struct("<6I")
# From this version on neither side checks the sums of packets.
VERSION = 0x01000001
LARGEST_PAYLOAD = 1 << 20
CNXN, AUTH, OPEN, OKAY, CLSE, WRTE = (
    int.from_bytes(name, "little") for name in (b"CNXN", b"AUTH", b"OPEN", b"OKAY", b"CLSE", b"WRTE")
)
AUTH_TOKEN, AUTH_SIGNATURE, AUTH_PUBLIC_KEY = 1, 2, 3
TOKEN_BYTES = 20


class Closed(Exception):
    """The host closed the stream, or the link went."""


class Stream:
    """One stream that the host opened."""

    def __init__(self, connection: Connection, local: int, remote: int) -> None:
        self.local = local
        self.remote = remote
        self._connection = connection
        self._inbox: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._acknowledged = asyncio.Event()
        self._closed = False
        self._buffer = b""

    async def read_some(self) -> bytes:
        """Whatever comes next; nothing at the end."""
        while not self._buffer:
            if not await self._fill():
                return b""
        data, self._buffer = self._buffer, b""
        return data

    async def read_exactly(self, count: int) -> bytes:
        """The next bytes.

        Raises:
            Closed: the stream ended before them.
        """
        parts, size = [self._buffer], len(self._buffer)
        while size < count:
            self._buffer = b""
            if not await self._fill():
                raise Closed
            parts.append(self._buffer)
            size += len(self._buffer)
        data = b"".join(parts)
        self._buffer = data[count:]
        return data[:count]

    async def write(self, data: bytes) -> None:
        """Send bytes; each packet waits until the host has taken the one before.

        Raises:
            Closed: the host takes no more.
        """
        step = self._connection.payload
        for start in range(0, len(data), step):
            if self._closed:
                raise Closed
            self._acknowledged.clear()
            await self._connection.send(WRTE, self.local, self.remote, data[start : start + step])
            await self._acknowledged.wait()
        if self._closed:
            raise Closed

    def take(self, data: bytes) -> None:
        """Data came from the host."""
        self._inbox.put_nowait(data)

    def acknowledge(self) -> None:
        """The host took the last packet."""
        self._acknowledged.set()

    def end(self) -> None:
        """The host closed the stream, or the link went."""
        self._closed = True
        self._inbox.put_nowait(None)
        self._acknowledged.set()

    async def _fill(self) -> bool:
        if self._closed and self._inbox.empty():
            return False
        data = await self._inbox.get()
        if data is None:
            return False
        await self._connection.send(OKAY, self.local, self.remote)
        self._buffer += data
        return True


Service = Callable[[Stream], Awaitable[None]]


class Owner(Protocol):
    """What a connection asks of the device."""

    trusted: bool
    awake: asyncio.Event

    def banner(self) -> bytes:
        """What the device says of itself."""
        ...

    def service(self, name: str) -> Service | None:
        """The service of that name; None for an unknown one."""
        ...


class Connection:
    """One host."""

    def __init__(self, owner: Owner, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.payload = 4096
        self.awake = owner.awake
        self._owner = owner
        self._reader = reader
        self._writer = writer
        self._next_id = 1
        self._streams: dict[int, Stream] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._sending = asyncio.Lock()

    async def serve(self) -> None:
        """Answer the host until the link goes."""
        try:
            while True:
                command, first, second, size, _, magic = HEADER.unpack(
                    await self._reader.readexactly(HEADER.size)
                )
                if magic != command ^ 0xFFFFFFFF:
                    return
                data = await self._reader.readexactly(size)
                await self.awake.wait()
                await self._take(command, first, second, data)
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            for stream in self._streams.values():
                stream.end()
            # Services see the end of their streams; one that does not is stopped.
            if self._tasks:
                _, late = await asyncio.wait(self._tasks, timeout=5)
                for task in late:
                    task.cancel()
                await asyncio.gather(*late, return_exceptions=True)
            self._writer.transport.abort()

    def abort(self) -> None:
        """Cut the link, without a word to the host."""
        self._writer.transport.abort()

    async def send(self, command: int, first: int, second: int, data: bytes = b"") -> None:
        """Send a packet.

        Raises:
            Closed: the link is gone.
        """
        await self.awake.wait()
        async with self._sending:
            try:
                self._writer.write(
                    HEADER.pack(command, first, second, len(data), 0, command ^ 0xFFFFFFFF) + data
                )
                await self._writer.drain()
            except OSError:
                raise Closed from None

    async def _take(self, command: int, first: int, second: int, data: bytes) -> None:
        with contextlib.suppress(Closed):
            if command == CNXN:
                self.payload = min(second, LARGEST_PAYLOAD)
                await self._greet()
            elif command == AUTH:
                # A signature by a key that is not known here is refused by a new token; then the host offers
                # its public key, and waits until somebody accepts it.
                if first == AUTH_SIGNATURE:
                    await self._greet()
            elif command == OPEN:
                self._open(first, data.rstrip(b"\0").decode("utf-8", "surrogateescape"))
            elif command in (OKAY, WRTE, CLSE):
                await self._pass_on(command, first, second, data)

    async def _greet(self) -> None:
        if self._owner.trusted:
            await self.send(CNXN, VERSION, LARGEST_PAYLOAD, self._owner.banner())
        else:
            await self.send(AUTH, AUTH_TOKEN, 0, os.urandom(TOKEN_BYTES))

    def _open(self, remote: int, name: str) -> None:
        stream = Stream(self, self._next_id, remote)
        self._next_id += 1
        self._streams[stream.local] = stream
        task = asyncio.create_task(self._run(stream, name))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, stream: Stream, name: str) -> None:
        service = self._owner.service(name)
        try:
            if service is None:
                await self.send(CLSE, 0, stream.remote)
                return
            await self.send(OKAY, stream.local, stream.remote)
            await service(stream)
            await self.send(CLSE, stream.local, stream.remote)
        except Closed:
            with contextlib.suppress(Closed):
                await self.send(CLSE, stream.local, stream.remote)
        finally:
            self._streams.pop(stream.local, None)

    async def _pass_on(self, command: int, first: int, second: int, data: bytes) -> None:
        stream = self._streams.get(second)
        if stream is None:
            if command != CLSE:
                await self.send(CLSE, 0, first)
        elif command == OKAY:
            stream.acknowledge()
        elif command == WRTE:
            stream.take(data)
        else:
            stream.end()
