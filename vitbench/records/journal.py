"""The journal of a run or a comparison in progress: what is finished outlives the process that measures it.

One directory each: `header.json`, one `block-NNN.json` for each finished block or `pair-NNN.json` for each
finished pair, and a `lock` that the running process holds. The kernel drops the lock when the process ends,
however it ends, in whatever container or after whatever reboot: a journal whose lock can be taken belongs to
nobody any more.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from vitbench.errors import UsageError
from vitbench.records import document
from vitbench.records.comparison import Comparison, FinishedPair
from vitbench.records.document import Document
from vitbench.records.files import STALE_S, write_atomically
from vitbench.records.schema import Block, Estimate, Header, Part, Record
from vitbench.records.store import Saved, Store

HEADER = "header.json"
LOCK = "lock"
_NEW = ".new-"


class Journal:
    """The journal of one run or comparison; made by `Journal.start`.

    `problem` says why something finished could not be kept, None while all is.
    """

    def __init__(self, store: Store, directory: Path, lock: int) -> None:
        self.problem: str | None = None
        self._store = store
        self._directory = directory
        self._lock: int | None = lock
        self._pairs = self._parts = 0

    @classmethod
    def start(cls, store: Store, header: Header | Comparison) -> Journal:
        """Open the journal of a run, or of a comparison without pairs yet, that begins now.

        Raises:
            UsageError: it cannot be written.
        """
        final = store.running_dir / header.id
        # Under its final name a journal is complete and locked from the first moment on.
        draft = final.with_name(_NEW + header.id)
        try:
            draft.mkdir(parents=True)
            lock = _open_lock(draft)
            with contextlib.suppress(OSError):  # a file system without locks: see `_taken`
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            write_atomically(draft / HEADER, document.dump(header))
            draft.rename(final)
        except OSError as error:
            raise UsageError(
                f"cannot keep the journal of this run in `{store.running_dir}`: {error.strerror or error}",
                "make room or give it write permission, or choose another place with --results",
            ) from error
        return cls(store, final, lock)

    def add(self, block: Block) -> None:
        """Keep a finished block, durably; one that cannot be kept does not stop the measurement."""
        self._keep(f"block-{block.index:03d}.json", block)

    def add_pair(self, finished: FinishedPair) -> None:
        """Keep a finished pair, durably; one that cannot be kept does not stop the measurement."""
        self._keep(f"pair-{self._pairs:03d}.json", finished)
        self._pairs += 1

    def _keep(self, name: str, part: Part) -> None:
        try:
            write_atomically(self._directory / name, document.dump(part))
            self._parts += 1
        except OSError as error:
            self.problem = f"cannot keep {name} in `{self._directory}`: {error.strerror or error}"

    def finish(self, record: Document) -> Saved:
        """Store the record of all of it, then drop the journal."""
        saved = self._store.save(record)
        self.discard()
        return saved

    def discard(self) -> None:
        """Drop the journal and all it keeps. Safe to call twice."""
        if self._lock is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
        self._unlock()

    def abandon(self) -> None:
        """End without a record: the next command saves what is finished; an empty journal is dropped."""
        if self._parts:
            self._unlock()
        else:
            self.discard()

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


@dataclass(frozen=True)
class Interrupted:
    """A run or comparison whose process is gone; `blocks` and `planned` count pairs where `pairs` is set.

    `saved` tells where its record is, None where it had finished nothing. `problem` says why the journal
    could not be used, in which case it is left as it is.
    """

    id: str
    blocks: int
    planned: int
    saved: Saved | None = None
    problem: str | None = None
    pairs: bool = False


Estimator = Callable[[Header, Sequence[Block]], Estimate | None]
Concluder = Callable[[Comparison, Sequence[FinishedPair]], Comparison]


def abandoned(store: Store) -> list[Path]:
    """List the journals of runs whose process is gone, without touching them."""
    found = []
    for directory in _journals(store):
        with _taken(directory) as free:
            if free:
                found.append(directory)
    return found


def recover(store: Store, estimate: Estimator, conclude: Concluder) -> list[Interrupted]:
    """Turn the journals of runs and comparisons whose process is gone into records, and drop them.

    A record made so is `inconclusive` (`parity-failed` where that is known), with the reason "interrupted
    after k of n blocks". The journal of a run that had finished no block is only dropped. Runs that are
    still going on are left alone.

    Args:
        store: where the runs were to be recorded.
        estimate: what is to be concluded from the finished blocks of a run with this header.
        conclude: makes a comparison of its beginning and its finished pairs.
    """
    _sweep(store)
    found = []
    for directory in _journals(store):
        with _taken(directory) as free:
            if free:
                found.append(_salvage(store, directory, estimate, conclude))
    return found


def _salvage(store: Store, directory: Path, estimate: Estimator, conclude: Concluder) -> Interrupted:
    """Save what one abandoned journal keeps. Safe to repeat: the record's id is the journal's."""
    try:
        data = (directory / HEADER).read_bytes()
        if document.kind_of(data) == "compare":
            record, finished, planned = _salvage_pairs(directory, data, conclude)
        else:
            record, finished, planned = _salvage_blocks(directory, data, estimate)
    except (OSError, ValidationError) as error:
        return Interrupted(directory.name, 0, 0, problem=f"cannot read `{directory}`: {_first_line(error)}")
    saved = store.save(record) if finished and not store.has(record.id) else None
    shutil.rmtree(directory, ignore_errors=True)
    return Interrupted(record.id, finished, planned, saved, pairs=isinstance(record, Comparison))


def _salvage_blocks(directory: Path, data: bytes, estimate: Estimator) -> tuple[Document, int, int]:
    """The record of a run, and how many of how many blocks it has."""
    header = Header.model_validate_json(data)
    blocks = [Block.model_validate_json(path.read_bytes()) for path in sorted(directory.glob("block-*.json"))]
    record = Record(
        **dict(header),
        status="parity-failed" if header.parity and not header.parity.passed else "inconclusive",
        reasons=(f"interrupted after {len(blocks)} of {header.plan.blocks} blocks",),
        estimate=estimate(header, blocks) if blocks else None,
        blocks=tuple(blocks),
    )
    return record, len(blocks), header.plan.blocks


def _salvage_pairs(directory: Path, data: bytes, conclude: Concluder) -> tuple[Document, int, int]:
    """The record of a comparison, and how many of how many pairs it has."""
    begun = Comparison.model_validate_json(data)
    pairs = [
        FinishedPair.model_validate_json(path.read_bytes()) for path in sorted(directory.glob("pair-*.json"))
    ]
    return conclude(begun, pairs) if pairs else begun, len(pairs), begun.sides[0].plan.blocks


def _journals(store: Store) -> list[Path]:
    return sorted(path.parent for path in store.running_dir.glob(f"[!.]*/{HEADER}"))


def _sweep(store: Store) -> None:
    """Remove journals that were never begun: their process died before it could name them."""
    for draft in store.running_dir.glob(_NEW + "*"):
        try:
            if time.time() - draft.stat().st_mtime > STALE_S:
                shutil.rmtree(draft, ignore_errors=True)
        except FileNotFoundError:
            continue


@contextlib.contextmanager
def _taken(directory: Path) -> Iterator[bool]:
    """Take the lock of a journal; False when its run is alive or somebody else has just dropped it.

    Where the file system has no locks nobody can tell, and every journal counts as alive.
    """
    try:
        lock = _open_lock(directory)
    except OSError:
        yield False
        return
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield (directory / HEADER).exists()
    finally:
        os.close(lock)


def _open_lock(directory: Path) -> int:
    return os.open(directory / LOCK, os.O_RDWR | os.O_CREAT, 0o666)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
