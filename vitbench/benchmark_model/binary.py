"""Is a file of this machine a benchmark_model that a given phone can execute?"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vitbench.errors import UsageError

GET_ONE = (
    "get a benchmark_model for Android, e.g. android_aarch64_benchmark_model of TensorFlow's nightly builds"
)
HEAD_BYTES = 4096

# e_machine and word size -> Android's name of the ABI.
_ABIS = {(183, 64): "arm64-v8a", (40, 32): "armeabi-v7a", (62, 64): "x86_64", (3, 32): "x86"}
ABIS = tuple(_ABIS.values())
_EXECUTABLE, _SHARED = 2, 3
_INTERPRETER = 3
_ANDROID_LINKER = "/system/bin/linker"

# What is found where a program was expected: how the file begins, and what that is.
_OTHERS = (
    (b"#!", "a script"),
    (b"PK\x03\x04", "a zip archive, like an .apk; the program itself is needed"),
    (b"\x1f\x8b", "a gzip archive: unpack it"),
    (b"MZ", "a program for Windows"),
    (b"\xcf\xfa\xed\xfe", "a program for macOS"),
    (b"\xca\xfe\xba\xbe", "a program for macOS"),
    (b"version https://git-lfs", "a pointer of git LFS, not the file itself: `git lfs pull`"),
)
_PAGES = (b"<!doctype html", b"<html", b"<?xml", b"<error")


@dataclass(frozen=True)
class Binary:
    """A program on this machine. `abi` is Android's name of what it is for; None for a script."""

    path: Path
    sha256: str
    abi: str | None

    def check_abis(self, abis: Sequence[str]) -> None:
        """Check that a phone with these ABIs can execute it.

        Args:
            abis: the phone's ABIs; an unknown (empty) list decides nothing.

        Raises:
            UsageError: it is for another kind of processor.
        """
        if self.abi is not None and abis and self.abi not in abis:
            raise UsageError(
                f"{self.path} is a program for {self.abi}, and the phone executes {', '.join(abis)}",
                f"get the benchmark_model for {abis[0]}",
            )


def inspect(path: Path, *, allow_script: bool = False) -> Binary:
    """Read what kind of program a file is.

    Args:
        allow_script: take a script for a program, as the stand-in of the tests is one.

    Raises:
        UsageError: the file is missing or unreadable, or no program for Android; it says what it is instead.
    """
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            # A pipe would be waited for, and a device may have no end.
            raise UsageError(f"{path} is no file but a pipe, a socket or a device", GET_ONE)
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", GET_ONE) from None
    if allow_script and head.startswith(b"#!"):
        return Binary(path, digest, None)
    if not head.startswith(b"\x7fELF"):
        raise UsageError(f"{path} is no program for Android but {_what(head)}", GET_ONE)
    return Binary(path, digest, _abi(path, head))


def _what(head: bytes) -> str:
    if not head:
        return "empty"
    if any(head.lstrip().lower().startswith(page) for page in _PAGES):
        return "a web page, perhaps an error of the server it came from"
    if head[4:8] == b"TFL3":
        return "a TensorFlow Lite model"
    return next((what for start, what in _OTHERS if head.startswith(start)), "something else")


def _abi(path: Path, head: bytes) -> str:
    """The ABI of an ELF executable."""
    try:
        bits = {1: 32, 2: 64}[head[4]]
        order = {1: "<", 2: ">"}[head[5]]
        kind, machine = struct.unpack_from(order + "HH", head, 16)
        interpreter = _interpreter(head, bits, order)
    except (IndexError, KeyError, struct.error):
        raise UsageError(f"{path} is a damaged program: its header makes no sense", GET_ONE) from None
    if kind not in (_EXECUTABLE, _SHARED):
        raise UsageError(f"{path} is no program but an object file or a core dump", GET_ONE)
    if interpreter is not None and not interpreter.startswith(_ANDROID_LINKER):
        raise UsageError(
            f"{path} is a program for Linux (it starts with {interpreter}), not for Android", GET_ONE
        )
    abi = _ABIS.get((machine, bits)) if order == "<" else None
    if abi is None:
        raise UsageError(f"{path} is a program for a processor that no phone has (number {machine})", GET_ONE)
    return abi


def _interpreter(head: bytes, bits: int, order: str) -> str | None:
    """The loader that an ELF file names; None where it is linked statically, or names it further in."""
    if bits == 64:
        (table,) = struct.unpack_from(order + "Q", head, 32)
        size, count = struct.unpack_from(order + "HH", head, 54)
    else:
        (table,) = struct.unpack_from(order + "I", head, 28)
        size, count = struct.unpack_from(order + "HH", head, 42)
    for index in range(count):
        entry = table + index * size
        if entry + size > len(head):
            return None
        (kind,) = struct.unpack_from(order + "I", head, entry)
        if kind == _INTERPRETER:
            offset, length = _place(head, entry, bits, order)
            return head[offset : offset + length].split(b"\0")[0].decode(errors="replace") or None
    return None


def _place(head: bytes, entry: int, bits: int, order: str) -> tuple[int, int]:
    """Offset and size of what an entry of the program header describes."""
    if bits == 64:
        (offset,) = struct.unpack_from(order + "Q", head, entry + 8)
        (length,) = struct.unpack_from(order + "Q", head, entry + 32)
    else:
        (offset,) = struct.unpack_from(order + "I", head, entry + 4)
        (length,) = struct.unpack_from(order + "I", head, entry + 16)
    return int(offset), int(length)
