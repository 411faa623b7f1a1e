"""Files that are, and that are not, a program for a phone."""

from __future__ import annotations

import hashlib
import struct
import sys
from pathlib import Path

import pytest

from tests.support.benchmark_model import install
from vitbench.benchmark_model.binary import inspect
from vitbench.errors import UsageError

MACHINES = {"arm64-v8a": (183, 64), "armeabi-v7a": (40, 32), "x86_64": (62, 64), "x86": (3, 32)}


def elf(
    machine: int, bits: int, kind: int = 3, loader: bytes = b"/system/bin/linker64\0", order: str = "<"
) -> bytes:
    """A header, one entry of the program header that names the loader, and the loader's name."""
    ident = b"\x7fELF" + bytes([2 if bits == 64 else 1, 1 if order == "<" else 2, 1]) + bytes(9)
    size, entry = (64, 56) if bits == 64 else (52, 32)
    place = size + entry
    if bits == 64:
        rest = struct.pack(order + "HHIQQQIHHHHHH", kind, machine, 1, 64, size, 0, 0, size, entry, 1, 0, 0, 0)
        header = struct.pack(order + "IIQQQQQQ", 3, 4, place, 0, 0, len(loader), len(loader), 1)
    else:
        rest = struct.pack(order + "HHIIIIIHHHHHH", kind, machine, 1, 64, size, 0, 0, size, entry, 1, 0, 0, 0)
        header = struct.pack(order + "IIIIIIII", 3, place, 0, 0, len(loader), len(loader), 4, 1)
    return ident + rest + header + loader + bytes(100)


@pytest.mark.parametrize("abi", MACHINES)
def test_a_program_for_each_abi(abi: str, tmp_path: Path) -> None:
    path = tmp_path / "benchmark_model"
    path.write_bytes(elf(*MACHINES[abi]))
    found = inspect(path)
    assert (found.abi, found.path) == (abi, path)
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    found.check_abis([abi, "other"])
    found.check_abis([])
    with pytest.raises(UsageError, match=f"for {abi}, and the phone executes mips, mips64"):
        found.check_abis(["mips", "mips64"])


def test_a_static_program_names_no_loader(tmp_path: Path) -> None:
    path = tmp_path / "benchmark_model"
    path.write_bytes(elf(183, 64, kind=2, loader=b"\0"))
    assert inspect(path).abi == "arm64-v8a"


def test_this_python_is_a_program_for_linux() -> None:
    with pytest.raises(UsageError, match=r"program for Linux .*not for Android"):
        inspect(Path(sys.executable).resolve())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"\n <!DOCTYPE html><p>404", "web page"),
        (b"<?xml version='1.0'?><Error><Code>NoSuchKey", "web page"),
        (b"PK\x03\x04zip", r"\.apk"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"#!/bin/sh\n", "a script"),
        (b"MZ\x90", "Windows"),
        (b"\xcf\xfa\xed\xfe", "macOS"),
        (b"\x1c\0\0\0TFL3", "TensorFlow Lite model"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"hello", "something else"),
        (b"\x7fELF", "damaged"),
        (b"\x7fELF\x09\x09" + bytes(40), "damaged"),
        (b"\x7fELF\x02\x01\x01" + bytes(12), "damaged"),
        (elf(183, 64)[:40], "damaged"),
        (elf(183, 64, kind=1), "object file"),
        (elf(243, 64), "number 243"),
        (elf(183, 64, order=">"), "number 183"),
        (elf(62, 32), "number 62"),
        (elf(183, 64, loader=b"/lib/ld-linux-aarch64.so.1\0"), "starts with /lib/ld-linux-aarch64"),
    ],
)
def test_what_is_no_program_for_a_phone(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "benchmark_model"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=words) as caught:
        inspect(path)
    assert caught.value.hint


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*No such file"):
        inspect(tmp_path / "missing")
    with pytest.raises(UsageError, match=r"cannot read .*directory"):
        inspect(tmp_path)


def test_a_script_only_where_it_is_allowed(tmp_path: Path) -> None:
    program = install(tmp_path)
    found = inspect(program, allow_script=True)
    assert found.abi is None
    found.check_abis(["arm64-v8a"])
    with pytest.raises(UsageError, match="a script"):
        inspect(program)
