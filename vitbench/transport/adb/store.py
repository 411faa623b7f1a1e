"""Files on a phone: pushed and pulled by adb itself."""

from __future__ import annotations

import re
from pathlib import Path

from vitbench.errors import ToolError, UsageError, VitbenchError
from vitbench.transport.adb.client import reason
from vitbench.transport.adb.link import WRITE_HINT, PhoneLink
from vitbench.transport.posix.link import LinkLost, tail
from vitbench.transport.posix.process import Answer
from vitbench.transport.posix.store import FULL, Store, transfer_limit_s
from vitbench.transport.posix.tree import Item

BASE = "/data/local/tmp/vitbench"
# adb's words for a reply of the phone's own: the link is well, and trying again would end the same way.
_REFUSED = re.compile(r"failed to copy .*: remote (?!.*(?:closed|EOF))|remote object .*: |Permission denied")


class PhoneStore(Store):
    """Files on one phone."""

    def __init__(self, link: PhoneLink) -> None:
        super().__init__(
            link,
            BASE,
            free_hint=f"make room; `adb -s {link.serial} shell rm -r {BASE}` "
            "removes all that vitbench put there",
            sums_hint="use a phone with Android 8 or later",
        )
        self._phone = link

    def _send(self, item: Item, to: str) -> None:
        answer = self._phone.run("push", str(item.local), to, timeout_s=transfer_limit_s(item.size))
        if answer.code or answer.timed_out:
            raise self._failed(answer, f"pushing {item.local}")

    def _fetch(self, remote: str, partial: Path, size: int) -> None:
        answer = self._phone.run("pull", remote, str(partial), timeout_s=transfer_limit_s(size))
        if answer.code or answer.timed_out:
            if "cannot create" in answer.complaint or "cannot write" in answer.complaint:
                raise UsageError(f"cannot copy {remote} to {partial.parent}: {reason(answer.complaint)}")
            raise self._failed(answer, f"pulling {remote}")

    def _failed(self, answer: Answer, doing: str) -> VitbenchError:
        """The error for a transfer that adb gave up."""
        serial, complaint = self._phone.serial, answer.complaint
        if not answer.timed_out and (FULL.search(complaint) or _REFUSED.search(complaint)):
            return ToolError(
                f"phone {serial} failed at {doing}: {reason(complaint)}", WRITE_HINT, tail=tail(complaint)
            )
        said = f" (adb says: {reason(complaint)})" if complaint else ""
        return LinkLost(f"the link to phone {serial} was lost while {doing}{said}", silent=answer.timed_out)
