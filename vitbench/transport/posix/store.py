"""What vitbench keeps on a device: files under the hash of their content, verified where they lie."""

from __future__ import annotations

import contextlib
import functools
import re
import secrets
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, TypeVar

from vitbench.errors import TargetUnreachable, ToolError, UsageError, VitbenchError
from vitbench.transport.posix.link import Link, tail
from vitbench.transport.posix.quoting import quote
from vitbench.transport.posix.scripts import folders_script, free_bytes, install_script, sums_script
from vitbench.transport.posix.tree import FILES_PER_SCRIPT, Item, Tree, read_tree, sha256_file

DIGEST_LETTERS = 16
# Beyond these, a transfer or a hash of n bytes may take this much longer.
TRANSFER_S, TRANSFER_BYTES_PER_S = 60.0, 1 << 20
HASH_S, HASH_BYTES_PER_S = 30.0, 20 << 20
DELIVERIES = 2
_T = TypeVar("_T")
# The device's own words: the link is well, and trying again would end the same way.
FULL = re.compile(r"no space left|ENOSPC", re.IGNORECASE)


class Store(ABC):
    """Files on one device.

    Args:
        link: the way to it.
        base: directory on the device, absolute; it need not be there yet.
        free_hint: how to make room there.
        sums_hint: what to do about a device that has no sha256sum.

    Attributes:
        resumes: whether `_send` goes on where the last one was cut, so that what has arrived is kept.
    """

    resumes: ClassVar[bool] = False

    def __init__(self, link: Link, base: str, *, free_hint: str, sums_hint: str) -> None:
        self._link = link
        self.base = base
        self._free_hint = free_hint
        self._sums_hint = sums_hint

    def prepare(self) -> None:
        """Make the place, and remove what killed programs left in it days ago.

        Raises:
            ToolError: the device has no such place, or no program to verify files by.
            TargetUnreachable: the link stays lost.
        """
        if not self._link.ask("echo | sha256sum || true").strip():
            raise ToolError(
                f"{self._link.device} has no sha256sum, by which files on it are verified",
                self._sums_hint,
            )
        place = quote(self.base)
        old = f"find {place} -maxdepth 1 '(' -name '.partial-*' -o -name 'scratch-*' ')' -mtime +2"
        self._link.ask(f"mkdir -p {place} || exit\n{old} -exec rm -rf '{{}}' ';' 2>/dev/null\ntrue")

    def push(self, local: Path) -> str:
        """Put a file or a directory on the device, unless it is there whole; return its path.

        Raises:
            UsageError: it cannot be read here.
            ToolError: there is no space for it, or the device refuses it.
            TargetUnreachable: the link stays lost.
        """
        tree = read_tree(local)
        final = f"{self.base}/{tree.digest[:DIGEST_LETTERS]}/{tree.name}"
        for _ in range(DELIVERIES):
            if self._is_whole(tree, final) or self._deliver(tree, final):
                return final
        raise ToolError(
            f"{local} does not arrive whole on {self._link.device}",
            f"another program may be writing to it, here or there; if not, suspect the {self._link.medium}",
        )

    def pull(self, remote: str, local: Path) -> None:
        """Copy a file of the device to `local`, whole or not at all.

        Raises:
            UsageError: it cannot be written here.
            ToolError: there is no such file on the device, or it does not stay the same.
            TargetUnreachable: the link stays lost.
        """
        if not local.parent.is_dir():
            raise UsageError(f"cannot copy {remote} to {local}: there is no directory {local.parent}")
        partial = local.absolute().with_name(f".vitbench-{secrets.token_hex(8)}.partial")
        try:
            for _ in range(DELIVERIES):
                expected, size = self._sum_of(remote)
                self._link.persist(functools.partial(self._fetch, remote, partial, size))
                if sha256_file(partial) == expected:
                    partial.replace(local)
                    return
        except OSError as error:
            raise UsageError(f"cannot copy {remote} to {local}: {error.strerror}") from None
        finally:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)
        raise ToolError(
            f"{remote} does not arrive whole from {self._link.device}",
            f"another program may be writing to it; if not, suspect the {self._link.medium}",
        )

    def _is_whole(self, tree: Tree, place: str) -> bool:
        """Whether every file lies there with its content; sets their modes."""
        return all(
            self._link.ask(sums_script(place, part), HASH_S + sum(i.size for i in part) / HASH_BYTES_PER_S)
            == "".join(f"{item.sha256}\n" for item in part)
            for part in _parts(tree.items)
        ) and bool(self._link.ask(folders_script(place, tree)))

    def _deliver(self, tree: Tree, final: str) -> bool:
        """Push under a passing name, verify, and give it its own name; False where it came damaged."""
        mark = tree.digest[:DIGEST_LETTERS] if self.resumes else secrets.token_hex(8)
        passing = f"{self.base}/.partial-{mark}"
        top, keep = f"{passing}/{tree.name}", False
        try:
            self._make_folders(tree, top)
            for item in tree.items:
                to = f"{top}/{item.path}" if item.path else top
                self._link.persist(functools.partial(self._send, item, to))
            whole = self._is_whole(tree, top)
            # Somebody else may have delivered the same meanwhile, and be using it.
            if whole and not self._is_whole(tree, final):
                self._link.ask(install_script(top, final))
        except TargetUnreachable:
            keep = self.resumes
            raise
        except ToolError as error:
            raise self._full(tree) if FULL.search(f"{error.message}\n{error.tail}") else error from None
        finally:
            if not keep:
                with contextlib.suppress(VitbenchError):
                    self._link.call(["rm", "-rf", passing], HASH_S)
        return whole and self._is_whole(tree, final)

    def _make_folders(self, tree: Tree, top: str) -> None:
        parent = top.rpartition("/")[0]
        alone = len(tree.items) == 1 and not tree.items[0].path
        folders = [parent] if alone else [top, *(f"{top}/{path}" for path in tree.folders)]
        for part in _parts(folders):
            self._link.ask(f"mkdir -p {' '.join(map(quote, part))}")

    @abstractmethod
    def _send(self, item: Item, to: str) -> None:
        """Write one file to the device.

        Raises:
            LinkLost: it may be tried again.
            ToolError: the device refuses it.
        """

    @abstractmethod
    def _fetch(self, remote: str, partial: Path, size: int) -> None:
        """Write one file of the device to `partial`; see `_send`."""

    def _sum_of(self, remote: str) -> tuple[str, int]:
        """SHA-256 and size in bytes of a file on the device."""
        path = quote(remote)
        done = self._link.call_again(["sh", "-c", f"sha256sum <{path} && wc -c <{path}"], 4 * HASH_S)
        words = done.stdout.split()
        if done.returncode or len(words) < 2 or not words[-1].isdigit():
            raise ToolError(
                f"cannot read {remote} on {self._link.device}",
                "see whether the program that should have written it did",
                tail=tail(done.stderr),
            )
        return words[0], int(words[-1])

    def _full(self, tree: Tree) -> ToolError:
        free: int | None = None
        with contextlib.suppress(ToolError, TargetUnreachable):
            free = free_bytes(self._link.ask(f"df -k {quote(self.base)}"))
        left = "an unknown number of" if free is None else f"{free:,}"
        return ToolError(
            f"no space on {self._link.device}: {tree.name} needs {tree.size:,} bytes, "
            f"and {left} bytes are free in {self.base}",
            self._free_hint,
        )


def transfer_limit_s(size: int) -> float:
    """How long so many bytes may be on their way."""
    return TRANSFER_S + size / TRANSFER_BYTES_PER_S


def _parts(everything: Sequence[_T]) -> list[Sequence[_T]]:
    return [
        everything[start : start + FILES_PER_SCRIPT] for start in range(0, len(everything), FILES_PER_SCRIPT)
    ]
