"""Scripts of ours about files on a device, and what they print."""

from __future__ import annotations

import re
from collections.abc import Sequence

from vitbench.transport.posix.quoting import quote
from vitbench.transport.posix.tree import Item, Tree


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
