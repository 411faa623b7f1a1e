"""What vitbench keeps on the phone: files under the hash of their content, verified where they lie."""

from __future__ import annotations

import contextlib
import functools
import re
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from vitbench.errors import TargetUnreachable, ToolError, UsageError, VitbenchError
from vitbench.transport.adb.client import Answer, reason
from vitbench.transport.adb.link import Link, LinkLost, tail
from vitbench.transport.adb.quoting import quote
from vitbench.transport.adb.tree import FILES_PER_SCRIPT, Item, Tree, read_tree, sha256_file

BASE = "/data/local/tmp/vitbench"
DIGEST_LETTERS = 16
# Beyond these, a transfer or a hash of n bytes may take this much longer.
TRANSFER_S, TRANSFER_BYTES_PER_S = 60.0, 1 << 20
HASH_S, HASH_BYTES_PER_S = 30.0, 20 << 20
DELIVERIES = 2
_T = TypeVar("_T")
_FULL = re.compile(r"no space left|ENOSPC", re.IGNORECASE)
# adb's words for a reply of the phone's own: the link is well, and trying again would end the same way.
_REFUSED = re.compile(r"failed to copy .*: remote (?!.*(?:closed|EOF))|remote object .*: |Permission denied")


class Store:
    """Files on one phone."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def prepare(self) -> None:
        """Make the place, and remove what killed programs left in it days ago.

        Raises:
            ToolError: the phone has no such place, or no program to verify files by.
            TargetUnreachable: the link stays lost.
        """
        if not self._link.ask("echo | sha256sum || true").strip():
            raise ToolError(
                f"phone {self._link.serial} has no sha256sum, by which files on it are verified",
                "use a phone with Android 8 or later",
            )
        old = f"find {BASE} -maxdepth 1 '(' -name '.partial-*' -o -name 'scratch-*' ')' -mtime +2"
        self._link.ask(f"mkdir -p {BASE} || exit\n{old} -exec rm -rf '{{}}' ';' 2>/dev/null\ntrue")

    def push(self, local: Path) -> str:
        """Put a file or a directory on the phone, unless it is there whole; return its path.

        Raises:
            UsageError: it cannot be read here.
            ToolError: there is no space for it, or the phone refuses it.
            TargetUnreachable: the link stays lost.
        """
        tree = read_tree(local)
        final = f"{BASE}/{tree.digest[:DIGEST_LETTERS]}/{tree.name}"
        for _ in range(DELIVERIES):
            if self._is_whole(tree, final) or self._deliver(tree, final):
                return final
        raise ToolError(
            f"{local} does not arrive whole on phone {self._link.serial}",
            "another program may be writing to it, here or there; if not, suspect the cable",
        )

    def pull(self, remote: str, local: Path) -> None:
        """Copy a file of the phone to `local`, whole or not at all.

        Raises:
            UsageError: it cannot be written here.
            ToolError: there is no such file on the phone, or it does not stay the same.
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
            f"{remote} does not arrive whole from phone {self._link.serial}",
            "another program may be writing to it; if not, suspect the cable",
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
        passing = f"{BASE}/.partial-{secrets.token_hex(8)}"
        try:
            self._make_folders(tree, f"{passing}/{tree.name}")
            for item in tree.items:
                self._link.persist(functools.partial(self._send, item, passing, tree))
            whole = self._is_whole(tree, f"{passing}/{tree.name}")
            # Somebody else may have delivered the same meanwhile, and be using it.
            if whole and not self._is_whole(tree, final):
                self._link.ask(install_script(f"{passing}/{tree.name}", final))
        except ToolError as error:
            raise self._full(tree) if _FULL.search(f"{error.message}\n{error.tail}") else error from None
        finally:
            with contextlib.suppress(VitbenchError):
                self._link.call(["rm", "-rf", passing], HASH_S)
        return whole and self._is_whole(tree, final)

    def _make_folders(self, tree: Tree, top: str) -> None:
        parent = top.rpartition("/")[0]
        alone = len(tree.items) == 1 and not tree.items[0].path
        folders = [parent] if alone else [top, *(f"{top}/{path}" for path in tree.folders)]
        for part in _parts(folders):
            self._link.ask(f"mkdir -p {' '.join(map(quote, part))}")

    def _send(self, item: Item, passing: str, tree: Tree) -> None:
        to = f"{passing}/{tree.name}" + (f"/{item.path}" if item.path else "")
        limit_s = TRANSFER_S + item.size / TRANSFER_BYTES_PER_S
        answer = self._link.run("push", str(item.local), to, timeout_s=limit_s)
        if answer.code or answer.timed_out:
            raise self._failed(answer, f"pushing {item.local}")

    def _fetch(self, remote: str, partial: Path, size: int) -> None:
        limit_s = TRANSFER_S + size / TRANSFER_BYTES_PER_S
        answer = self._link.run("pull", remote, str(partial), timeout_s=limit_s)
        if answer.code or answer.timed_out:
            if "cannot create" in answer.complaint or "cannot write" in answer.complaint:
                raise UsageError(f"cannot copy {remote} to {partial.parent}: {reason(answer.complaint)}")
            raise self._failed(answer, f"pulling {remote}")

    def _failed(self, answer: Answer, doing: str) -> VitbenchError:
        """The error for a transfer that adb gave up."""
        serial, complaint = self._link.serial, answer.complaint
        if not answer.timed_out and (_FULL.search(complaint) or _REFUSED.search(complaint)):
            return ToolError(
                f"phone {serial} failed at {doing}: {reason(complaint)}",
                "see that /data/local/tmp can be written by `adb shell`",
                tail=tail(complaint),
            )
        said = f" (adb says: {reason(complaint)})" if complaint else ""
        return LinkLost(f"the link to phone {serial} was lost while {doing}{said}", silent=answer.timed_out)

    def _sum_of(self, remote: str) -> tuple[str, int]:
        """SHA-256 and size in bytes of a file on the phone."""
        path = quote(remote)
        done = self._link.call_again(["sh", "-c", f"sha256sum <{path} && wc -c <{path}"], 4 * HASH_S)
        words = done.stdout.split()
        if done.returncode or len(words) < 2 or not words[-1].isdigit():
            raise ToolError(
                f"cannot read {remote} on phone {self._link.serial}",
                "see whether the program that should have written it did",
                tail=tail(done.stderr),
            )
        return words[0], int(words[-1])

    def _full(self, tree: Tree) -> ToolError:
        free: int | None = None
        with contextlib.suppress(ToolError, TargetUnreachable):
            free = free_bytes(self._link.ask(f"df -k {BASE}"))
        left = "an unknown number of" if free is None else f"{free:,}"
        return ToolError(
            f"no space on phone {self._link.serial}: {tree.name} needs {tree.size:,} bytes, "
            f"and {left} bytes are free in {BASE}",
            f"make room; `adb -s {self._link.serial} shell rm -r {BASE}` removes all that vitbench put there",
        )


def sums_script(place: str, items: Sequence[Item]) -> str:
    """A script that sets the modes of files and prints one SHA-256 a line, `-` for a file that is not there.

    The content is read from the standard input of sha256sum: it writes some names in its own way.
    """
    lines = []
    for item in items:
        path = quote(f"{place}/{item.path}" if item.path else place)
        lines.append(
            f"P={path}\n"
            f'[ -f "$P" ] && chmod {item.mode:o} "$P" && S=$(sha256sum <"$P") && echo "${{S%% *}}" || echo -'
        )
    return "\n".join(lines)


def folders_script(place: str, tree: Tree) -> str:
    """A script that prints something when every directory of the tree is there."""
    single = len(tree.items) == 1 and not tree.items[0].path
    folders = [] if single else [place, *(f"{place}/{path}" for path in tree.folders)]
    return "".join(f"[ -d {quote(path)} ] || exit 0\n" for path in folders) + "echo whole"


def install_script(passing: str, final: str) -> str:
    """A script that gives what was verified its own name, in the place of what is not whole.

    It may be run again, where nobody heard that it had run.
    """
    folder = quote(final.rpartition("/")[0])
    move = f"mkdir -p {folder} && rm -rf {quote(final)} && mv {quote(passing)} {quote(final)}"
    return f"[ -e {quote(passing)} ] || exit 0\n{move}"


def free_bytes(listing: str) -> int | None:
    """What `df -k` says is available; None where it says nothing. Long lines of it are broken in two."""
    words = listing.split()
    for index, word in enumerate(words):
        if re.fullmatch(r"\d+%", word) and index and words[index - 1].isdigit():
            return int(words[index - 1]) * 1024
    return None


def _parts(everything: Sequence[_T]) -> list[Sequence[_T]]:
    return [
        everything[start : start + FILES_PER_SCRIPT] for start in range(0, len(everything), FILES_PER_SCRIPT)
    ]
