"""The sync service: files in and out of the directory that stands for the phone."""

from __future__ import annotations

import contextlib
import os
import stat
import struct
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from tests.support.adb_device.faults import Faults
from tests.support.adb_device.wire import Closed, Stream

REQUEST = struct.Struct("<4sI")
STAT_V1 = struct.Struct("<4s3I")
STAT_V2 = struct.Struct("<4sI2Q4IQ3q")
ENTRY_V1 = struct.Struct("<4s4I")
SEND_V2 = struct.Struct("<4sII")
RECV_V2_BYTES = 8
CHUNK = 64 * 1024
EIO = 5


class Files:
    """Files below a root; `path` is always the phone's."""

    def __init__(self, root: Path, faults: Faults) -> None:
        self._root = root
        self._faults = faults

    def locate(self, path: str) -> Path:
        """Where a path of the phone lies here.

        Raises:
            OSError: it leads out of the phone.
        """
        place = self._root / path.lstrip("/")
        place = place.parent.resolve() / place.name
        if place != self._root and self._root not in place.parents:
            raise PermissionError(13, "Permission denied")
        return place

    async def serve(self, stream: Stream) -> None:
        """Answer requests until the host has no more."""
        actions = {
            b"STAT": self._stat,
            b"LST2": self._stat_link,
            b"STA2": self._stat_file,
            b"LIST": self._list,
            b"LIS2": self._list_v2,
            b"SEND": self._send,
            b"SND2": self._send_v2,
            b"RECV": self._receive,
            b"RCV2": self._receive_v2,
        }
        while True:
            try:
                name, size = REQUEST.unpack(await stream.read_exactly(REQUEST.size))
            except Closed:
                return
            if name == b"QUIT":
                return
            path = (await stream.read_exactly(size)).decode("utf-8", "surrogateescape")
            if name not in actions:
                await _fail(stream, f"unknown command {name!r}")
                return
            try:
                await actions[name](stream, path)
            except OSError as error:
                await _fail(stream, error.strerror or str(error))

    async def _stat(self, stream: Stream, path: str) -> None:
        try:
            found = self.locate(path).lstat()
        except OSError:
            await stream.write(STAT_V1.pack(b"STAT", 0, 0, 0))
            return
        await stream.write(
            STAT_V1.pack(b"STAT", found.st_mode, found.st_size & 0xFFFFFFFF, int(found.st_mtime))
        )

    async def _stat_link(self, stream: Stream, path: str) -> None:
        await stream.write(_stat_v2(b"LST2", lambda: self.locate(path).lstat()))

    async def _stat_file(self, stream: Stream, path: str) -> None:
        await stream.write(_stat_v2(b"STA2", lambda: self.locate(path).stat()))

    async def _list(self, stream: Stream, path: str) -> None:
        for place in self._entries(path):
            name, found = os.fsencode(place.name), place.lstat()
            size, time = found.st_size & 0xFFFFFFFF, int(found.st_mtime)
            await stream.write(ENTRY_V1.pack(b"DENT", found.st_mode, size, time, len(name)) + name)
        await stream.write(b"DONE" + bytes(ENTRY_V1.size - 4))

    async def _list_v2(self, stream: Stream, path: str) -> None:
        for place in self._entries(path):
            name = os.fsencode(place.name)
            await stream.write(_stat_v2(b"DNT2", place.lstat) + struct.pack("<I", len(name)) + name)
        await stream.write(b"DONE" + bytes(STAT_V2.size))

    def _entries(self, path: str) -> list[Path]:
        try:
            return sorted(self.locate(path).iterdir())
        except OSError:
            return []

    async def _send(self, stream: Stream, path: str) -> None:
        name, _, mode = path.rpartition(",")
        await self._store(stream, name, int(mode or "0644", 0))

    async def _send_v2(self, stream: Stream, path: str) -> None:
        _, mode, flags = SEND_V2.unpack(await stream.read_exactly(SEND_V2.size))
        await self._store(stream, path, mode, refused="compression is not known" if flags else "")

    async def _store(self, stream: Stream, path: str, mode: int, refused: str = "") -> None:
        """Write a file in place, as adbd does: where the link goes, what came so far stays."""
        place: Path | None = None
        refused = refused or self._faults.refuse
        with contextlib.ExitStack() as stack:
            file: BinaryIO | None = None
            try:
                place = self.locate(path)
                place.parent.mkdir(parents=True, exist_ok=True)
                file = stack.enter_context(place.open("wb"))
            except OSError as error:
                refused = refused or f"couldn't create file: {error.strerror}"
            # After an error the host goes on sending, and reads the reply only at the end.
            while True:
                name, size = REQUEST.unpack(await stream.read_exactly(REQUEST.size))
                if name == b"DONE":
                    break
                data = await stream.read_exactly(size)
                if file is not None and not refused:
                    refused = self._write(file, data)
        if refused:
            if place is not None and place.is_file():
                place.unlink()
            await _fail(stream, refused)
            return
        assert place is not None
        os.utime(place, (size, size))
        place.chmod(stat.S_IMODE(mode))
        await stream.write(REQUEST.pack(b"OKAY", 0))

    def _write(self, file: BinaryIO, data: bytes) -> str:
        """Write a part; returns what went wrong."""
        passing = self._faults.allowed("push", len(data))
        try:
            self._faults.store(passing)
            file.write(data[:passing])
        except OSError as error:
            return f"write failed: {error.strerror}"
        file.flush()
        self._faults.passed("push", passing)
        return ""

    async def _receive(self, stream: Stream, path: str) -> None:
        with self.locate(path).open("rb") as file:
            while data := file.read(CHUNK):
                passing = self._faults.allowed("pull", len(data))
                await stream.write(REQUEST.pack(b"DATA", passing) + data[:passing])
                self._faults.passed("pull", passing)
        await stream.write(REQUEST.pack(b"DONE", 0))

    async def _receive_v2(self, stream: Stream, path: str) -> None:
        await stream.read_exactly(RECV_V2_BYTES)
        await self._receive(stream, path)


def _stat_v2(name: bytes, look: Callable[[], os.stat_result]) -> bytes:
    try:
        found = look()
    except OSError as error:
        return STAT_V2.pack(name, error.errno or EIO, *[0] * 10)
    return STAT_V2.pack(
        name,
        0,
        found.st_dev,
        found.st_ino,
        found.st_mode,
        found.st_nlink,
        found.st_uid,
        found.st_gid,
        found.st_size,
        int(found.st_atime),
        int(found.st_mtime),
        int(found.st_ctime),
    )


async def _fail(stream: Stream, message: str) -> None:
    data = message.encode()
    await stream.write(REQUEST.pack(b"FAIL", len(data)) + data)
