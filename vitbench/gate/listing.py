"""What baselines there are, and which artifacts nobody names any more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from vitbench.errors import UsageError
from vitbench.gate import baseline as baselines
from vitbench.gate.baseline import SUFFIX, Baseline, BaselineCell, Place
from vitbench.gate.shelf import Shelf


@dataclass(frozen=True)
class Summary:
    """A baseline of a place; `problem` says why it cannot be read, and `baseline` is None then."""

    name: str
    location: str
    baseline: Baseline | None
    problem: str | None = None


@dataclass(frozen=True)
class Pruned:
    """What was removed, or would be: names of baselines, digests and bytes of artifacts."""

    baselines: tuple[str, ...]
    artifacts: tuple[str, ...]
    bytes: int
    dry_run: bool


def summaries(place: Place) -> list[Summary]:
    """Every baseline beside the given one, by name.

    Raises:
        UsageError: the place cannot be read.
    """
    found = []
    for name in baselines.names(place.files):
        each = Place(place.files, name)
        try:
            found.append(Summary(name, each.location, baselines.read(each)))
        except UsageError as error:
            found.append(Summary(name, each.location, None, error.message))
    return found


def present(saved: Baseline, place: Place) -> dict[str, bool]:
    """Which artifacts of a baseline are on its shelf, by digest; scripts need none.

    Raises:
        UsageError: the shelf cannot be read.
    """
    there = set(Shelf(place.shelf(saved.artifacts)).digests())
    return {cell.digest: _needs_none(cell) or cell.digest in there for cell in saved.cells}


def prune(place: Place, names: Sequence[str], artifacts: str | None, *, dry_run: bool) -> Pruned:
    """Remove baselines by name, then every artifact beside them that no baseline names any more.

    Args:
        place: of the baselines.
        names: baselines to remove.
        artifacts: the shelf to clear; when None those below the place. Others may be shared with baselines
            that are not seen from here, and are cleared only by name.
        dry_run: nothing is removed.

    Raises:
        UsageError: there is no such baseline; one cannot be read, so that nobody knows what it names; or
            something cannot be removed.
    """
    found = summaries(place)
    known = {summary.name for summary in found}
    for name in names:
        if name not in known:
            raise UsageError(
                f"no baseline '{name}' in `{place.files.location}`",
                f"there are {', '.join(sorted(known))}" if known else "there is none",
            )
    kept = [summary for summary in found if summary.name not in names]
    if unread := [summary for summary in kept if summary.baseline is None]:
        raise UsageError(
            f"cannot tell what is still needed: {unread[0].problem}",
            f"mend it, or remove it as well: `vitbench baseline prune {unread[0].name}`",
        )
    needed = {cell.digest for summary in kept if summary.baseline for cell in summary.baseline.cells}
    shelves = [place.shelf(artifacts)] if artifacts else _shelves(place, found)
    if not dry_run:
        # Documents first: one that names a missing artifact is worse than an artifact too many.
        for name in names:
            _remove(place, name)
    removed: list[str] = []
    size = 0
    for shelf in map(Shelf, shelves):
        for digest, count in shelf.sizes():
            if digest not in needed:
                removed.append(digest)
                size += count
                if not dry_run:
                    shelf.remove(digest)
    return Pruned(tuple(names), tuple(removed), size, dry_run)


def _shelves(place: Place, found: Sequence[Summary]) -> list[str]:
    asked = [baselines.DEFAULT_SHELF, *(each.baseline.artifacts for each in found if each.baseline)]
    return [
        place.shelf(each)
        for each in dict.fromkeys(asked)
        if place.shelf(each) != each and ".." not in PurePosixPath(each).parts
    ]


def _remove(place: Place, name: str) -> None:
    try:
        place.files.remove(name + SUFFIX)
    except OSError as error:
        raise UsageError(
            f"cannot remove the baseline '{name}': {error.strerror or error}", "check its permissions"
        ) from error


def _needs_none(cell: BaselineCell) -> bool:
    return cell.archive is None
