"""Baselines as text and as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from vitbench.gate.baseline import Baseline, Place, labels, told_apart
from vitbench.gate.listing import Pruned, Summary, present
from vitbench.records.document import dump
from vitbench.report.numbers import cells_wide, significant, wrap
from vitbench.report.screen import Screen
from vitbench.text import clean

# A last column narrower than this is not folded any more.
LEAST_ROOM = 20


def listed(found: Sequence[Summary], *, as_json: bool, screen: Screen | None = None) -> str:
    """Every baseline of a place: name, age, commit, cells."""
    if as_json:
        return json.dumps([_summary(each) for each in found], indent=1) + "\n"
    if not found:
        return "no baselines; `vitbench baseline save -m MODEL -t TARGET` makes one\n"
    rows = [("name", "saved", "commit", "cells")]
    for each in found:
        saved = each.baseline
        if saved is None:
            rows.append((each.name, "-", "-", f"cannot be read: {each.problem}"))
            continue
        cells = labels(told_apart(saved).cells)
        rows.append((each.name, saved.created_utc[:16], (saved.commit or "-")[:12], cells))
    return _table(rows, screen or Screen.of(sys.stdout))


def shown(saved: Baseline, place: Place, *, as_json: bool, screen: Screen | None = None) -> str:
    """One baseline: where it is, and its cells with what is kept of them."""
    there = present(saved, place)
    if as_json:
        document = json.loads(dump(saved))
        document["location"] = place.location
        document["present"] = there
        return json.dumps(document, indent=1) + "\n"
    rows = [("cell", "artifact", "kept", "MB", "about ms", "device")]
    for cell in told_apart(saved).cells:
        size = "-" if cell.artifact is None else f"{cell.artifact.bytes / 1e6:.1f}"
        kept = "script" if cell.archive is None else "yes" if there[cell.digest] else "MISSING"
        rows.append((cell.label, cell.digest[:12], kept, size, significant(cell.latency_ms), cell.device))
    lines = [
        f"baseline {place.location}, saved {saved.created_utc}, {_commit(saved)}",
        f"artifacts in {place.shelf(saved.artifacts)}",
        "",
    ]
    screen = screen or Screen.of(sys.stdout)
    told = [part for line in lines for part in (screen.wrap(clean(line)) or [""])]
    return "\n".join(told) + "\n" + _table(rows, screen)


def pruned(done: Pruned, *, as_json: bool) -> str:
    """What was removed, or would be."""
    if as_json:
        return json.dumps(vars(done) | {"baselines": list(done.baselines)}, indent=1) + "\n"
    verb = "would remove" if done.dry_run else "removed"
    names = f"{', '.join(done.baselines)} and " if done.baselines else ""
    many = f"{len(done.artifacts)} artifact" + ("s" if len(done.artifacts) != 1 else "")
    return clean(f"{verb} {names}{many}, {done.bytes / 1e6:.1f} MB") + "\n"


def _summary(each: Summary) -> dict[str, object]:
    saved = each.baseline
    return {
        "name": each.name,
        "location": each.location,
        "problem": each.problem,
        "created_utc": saved.created_utc if saved else None,
        "commit": saved.commit if saved else None,
        "cells": [cell.label for cell in told_apart(saved).cells] if saved else [],
    }


def _table(rows: Sequence[tuple[str, ...]], screen: Screen) -> str:
    """Columns as wide as their widest cell; the last one is folded where the screen ends."""
    cleaned = [tuple(map(clean, row)) for row in rows]
    widths = [max(map(cells_wide, column)) for column in zip(*cleaned, strict=True)]
    indent = sum(widths[:-1]) + 2 * (len(widths) - 1)
    lines = []
    for row in cleaned:
        head = "".join(
            cell + " " * (width - cells_wide(cell) + 2) for cell, width in zip(row, widths[:-1], strict=False)
        )
        first, *more = wrap(row[-1], max(LEAST_ROOM, screen.width - indent)) or [""]
        lines += [head + first, *(" " * indent + part for part in more)]
    return "".join(line.rstrip() + "\n" for line in lines)


def _commit(saved: Baseline) -> str:
    """What it is made of, and what that means for artifacts that are lost."""
    if saved.commit:
        return f"commit {saved.commit[:12]}"
    if len(saved.unpinned) == len(saved.cells):
        return "of no commit: a lost artifact cannot be rebuilt"
    if saved.unpinned:
        return f"of several commits, and of none: {labels(saved.unpinned)}, which cannot be rebuilt once lost"
    return "of several commits"
