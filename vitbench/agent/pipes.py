"""The pipes of a process that answers requests: kept for that alone, and for as long as somebody reads."""

from __future__ import annotations

import os
import select
import sys
import threading
from typing import BinaryIO, Tuple


def take() -> Tuple[BinaryIO, int]:
    """Keep stdin and stdout for the protocol alone.

    Whatever a runtime prints goes to stderr, and it reads nothing.
    """
    sys.stdout.flush()
    requests = os.fdopen(os.dup(0), "rb")
    replies = os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return requests, replies


def end_with_reader(replies: int) -> None:
    """End this process at once when nobody can read its replies any more, even in the middle of a request.

    The thread sleeps in the kernel until then and takes no time from a measurement. (A parent-death signal
    would also come when only the thread that started this process ends, and not at all over a network.)
    """

    def watch() -> None:
        poller = select.poll()
        poller.register(replies, 0)
        poller.poll()
        os._exit(0)

    if not os.isatty(replies):
        threading.Thread(target=watch, daemon=True).start()


def write(descriptor: int, data: bytes) -> None:
    """Write all of it."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
