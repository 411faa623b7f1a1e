"""The verdicts of a gate as JUnit XML, which every CI server reads: one test case per cell."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from vitbench.records.gate import GateCell, GateRecord
from vitbench.report.gate import words
from vitbench.report.sheet import SIMULATED
from vitbench.text import clean, clean_lines

# Printable to Unicode, forbidden in XML.
NO_CHARACTERS = {0xFFFE: "?", 0xFFFF: "?"}


def render(record: GateRecord) -> str:
    """Write one suite: a regression is a failure, what could not be decided an error, a waived one skipped.

    With an advisory gate nothing is a failure: a regression is skipped, its reason told.
    """
    cells = words.ordered(record)
    name = f"vitbench gate: {SIMULATED}" if record.simulated else "vitbench gate"
    suite = ET.Element("testsuite", name=name, timestamp=record.created_utc[:19])
    counts = {"failure": 0, "error": 0, "skipped": 0}
    for cell in cells:
        case = ET.SubElement(
            suite, "testcase", classname=f"vitbench.gate.{clean(cell.target)}", name=clean(cell.label)
        )
        kind = _kind(cell, advisory=record.advisory)
        if kind is not None:
            counts[kind] += 1
            told = ET.SubElement(case, kind, message=_message(cell))
            if kind != "skipped":
                told.set("type", cell.verdict)
            told.text = clean_lines("\n".join([*cell.reasons, *cell.notes]))
        ET.SubElement(case, "system-out").text = _figures(cell)
    suite.set("tests", str(len(cells)))
    suite.set("failures", str(counts["failure"]))
    suite.set("errors", str(counts["error"]))
    suite.set("skipped", str(counts["skipped"]))
    suite.set("time", f"{record.wall_s:.3f}")
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    text = ET.tostring(root, encoding="unicode").translate(NO_CHARACTERS)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _kind(cell: GateCell, *, advisory: bool) -> str | None:
    """The element of a cell; None for a pass."""
    if cell.verdict in ("PASS", "IMPROVEMENT"):
        return None
    if cell.verdict == "REGRESSION":
        return "skipped" if cell.waived is not None or advisory else "failure"
    return "error"


def _message(cell: GateCell) -> str:
    return f"{words.verdict_of(cell)}: {words.why(cell)}"


def _figures(cell: GateCell) -> str:
    before, after = words.times(cell)
    return f"baseline {before} ms, now {after} ms, change {words.change(cell)}, limit +{cell.limit:.1%}"
