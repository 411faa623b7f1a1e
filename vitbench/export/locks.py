"""Locks between processes that end with the process, however it ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path


@contextlib.contextmanager
def exclusive(path: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold the lock file `path` for the length of a `with` block; it is removed at the end.

    Args:
        on_wait: called once when another process holds it, before waiting for that process.

    Raises:
        OSError: the file cannot be made, or its file system has no locks.
    """
    handle = _acquire(path, on_wait)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def _acquire(path: Path, on_wait: Callable[[], None]) -> int:
    waited = False
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if not try_lock(handle):
                if not waited:
                    on_wait()
                    waited = True
                fcntl.flock(handle, fcntl.LOCK_EX)
            if is_same_file(handle, path):
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)  # its last holder removed the file while we waited: lock the new one


def try_lock(handle: int, *, shared: bool = False) -> bool:
    """Lock an open file or directory if nobody stands against it; closing the handle unlocks it.

    Raises:
        OSError: the file system has no locks.
    """
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_same_file(handle: int, path: Path) -> bool:
    """Whether an open handle is still what `path` names."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
