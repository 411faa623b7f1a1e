"""A file or directory of this machine as it is to lie on the device."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from vitbench.errors import UsageError

READ_BYTES = 1 << 20
# Scripts are cut into pieces of this many files: one argument of a program may have 128 KiB, and quotes in
# names grow.
FILES_PER_SCRIPT = 20
PROGRAM_MODE, DATA_MODE = 0o755, 0o644
_PROGRAM_STARTS = (b"\x7fELF", b"#!")


@dataclass(frozen=True)
class Item:
    """One file: path below the tree (empty for a tree that is one file), content and mode on the device."""

    path: str
    local: Path
    size: int
    sha256: str
    mode: int


@dataclass(frozen=True)
class Tree:
    """A file, or a directory with all its files and sub-directories; `digest` is of names and contents."""

    name: str
    items: tuple[Item, ...]
    folders: tuple[str, ...]
    digest: str

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(item.size for item in self.items)


def read_tree(local: Path) -> Tree:
    """Read what is to be pushed; links to files are followed.

    Raises:
        UsageError: it is not there, cannot be read, or holds what is neither file nor directory.
    """
    try:
        top = local.resolve(strict=True)
        if not top.is_dir():
            item = read_item(top, "")
            return Tree(top.name, (item,), (), item.sha256)
        folders, items = _walk(top)
    except OSError as error:
        raise UsageError(f"cannot read {error.filename or local}: {error.strerror}") from None
    lines = [f"{path}/" for path in folders] + [f"{item.path}\0{item.sha256}" for item in items]
    listing = "\0\n".join(lines).encode("utf-8", "surrogateescape")
    return Tree(top.name, tuple(items), tuple(folders), hashlib.sha256(listing).hexdigest())


def read_item(local: Path, path: str) -> Item:
    """Read one file.

    Raises:
        UsageError: it is something else.
        OSError: it cannot be read.
    """
    if not local.is_file():
        raise UsageError(
            f"cannot push {local}: it is neither a file nor a directory",
            "replace it by a copy of what it means",
        )
    sha, size, start = hashlib.sha256(), 0, b""
    with local.open("rb") as file:
        while data := file.read(READ_BYTES):
            start = start or data[:4]
            sha.update(data)
            size += len(data)
        executable = os.fstat(file.fileno()).st_mode & 0o111
    program = executable or start.startswith(_PROGRAM_STARTS)
    return Item(path, local, size, sha.hexdigest(), PROGRAM_MODE if program else DATA_MODE)


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _walk(top: Path) -> tuple[list[str], list[Item]]:
    folders, items = [], []
    for place, names, files in os.walk(top, onerror=_fail):
        names.sort()
        for name in names:
            # A link is not walked into; taking it for an empty directory would lose what it holds.
            if (Path(place) / name).is_symlink():
                raise UsageError(
                    f"cannot push {Path(place) / name}: it is a link to a directory",
                    "replace it by a copy of the directory",
                )
            folders.append(str((Path(place) / name).relative_to(top)))
        for name in sorted(files):
            local = Path(place) / name
            items.append(read_item(local, str(local.relative_to(top))))
    return folders, items


def _fail(error: OSError) -> None:
    raise error
