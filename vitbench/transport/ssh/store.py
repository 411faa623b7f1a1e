"""Files on a board: streamed through the connection, and gone on with where it was cut."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

from vitbench.errors import ToolError, UsageError
from vitbench.transport.posix import remote as carrier
from vitbench.transport.posix.link import tail
from vitbench.transport.posix.process import last_line
from vitbench.transport.posix.quoting import quote
from vitbench.transport.posix.store import Store, transfer_limit_s
from vitbench.transport.posix.tree import Item
from vitbench.transport.ssh.link import BoardLink

PLACE = ".cache/vitbench/pushed"


class BoardStore(Store):
    """Files on one board, in the home directory of the user there."""

    resumes: ClassVar[bool] = True

    def __init__(self, link: BoardLink) -> None:
        super().__init__(
            link,
            f"{link.home}/{PLACE}",
            free_hint=f"make room; `ssh {link.host} rm -r {PLACE}` removes all that vitbench put there",
            sums_hint=f"install it: `ssh {link.host} sudo apt-get install coreutils`",
        )
        self._board = link

    def _send(self, item: Item, to: str) -> None:
        there = self._size_of(to)
        if there > item.size:
            self._board.ask(f"rm -f {quote(to)}")
            there = 0
        if there == item.size and item.size:
            return
        token = carrier.new_token()
        try:
            with item.local.open("rb", buffering=0) as file:
                file.seek(there)
                answer = self._board.converse(
                    carrier.feed(to, token), transfer_limit_s(item.size - there), source=file
                )
        except OSError as error:
            raise UsageError(f"cannot read {item.local}: {error.strerror}") from None
        done = carrier.read(token, answer.out, answer.err)
        if done is None:
            raise self._board.lost(f"while pushing {item.local}", token, answer)
        if done.returncode:
            raise ToolError(
                f"{self._board.device} failed at pushing {item.local}: {last_line(done.stderr)}",
                self._board.write_hint,
                tail=tail(done.stderr),
            )

    def _size_of(self, remote: str) -> int:
        """Bytes of a file on the board; 0 where there is none."""
        path = quote(remote)
        said = self._board.ask(f"[ -f {path} ] || {{ echo 0; exit; }}\nwc -c <{path}").strip()
        return int(said) if said.isdigit() else 0

    def _fetch(self, remote: str, partial: Path, size: int) -> None:
        token = carrier.new_token()
        with partial.open("wb") as sink:
            answer = self._board.converse(
                carrier.carry(["cat", remote], token), transfer_limit_s(size), sink=sink
            )
        with partial.open("r+b") as file:
            length = file.seek(0, os.SEEK_END)
            file.seek(max(0, length - carrier.MARK_BYTES))
            end = file.read()
            done = carrier.read(token, end, answer.err)
            if done is None:
                raise self._board.lost(f"while pulling {remote}", token, answer)
            file.truncate(length - carrier.mark_bytes(token, end))
        if done.returncode:
            raise ToolError(
                f"cannot read {remote} on {self._board.device}: {last_line(done.stderr)}",
                "see whether the program that should have written it did",
                tail=tail(done.stderr),
            )
