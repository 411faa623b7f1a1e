"""The refusal of a name that nobody has."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from vitbench.errors import UsageError


def unknown(what: str, name: str, known: Iterable[str], listing: str) -> UsageError:
    """Error for a name that is not known, with the nearest known one.

    Args:
        what: kind of thing, for the message ("model", "target").
        name: what was asked for.
        known: every name there is.
        listing: command that lists them.
    """
    known = list(known)
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean `{near[0]}`? " if near else ""
    return UsageError(f"unknown {what} '{name}'", f"{hint}`{listing}` lists what there is")
