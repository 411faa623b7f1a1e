"""A calibration as text with the tables for `gate.toml`, and as JSON."""

from __future__ import annotations

import json
import math
import sys

from vitbench.gate.calibration import Calibration, Proposal
from vitbench.gate.cost import in_words
from vitbench.report.numbers import cells_wide
from vitbench.report.screen import Screen
from vitbench.report.sheet import SIMULATED
from vitbench.text import clean

HEADERS = ("cell", "pair sd", "lag 1", "K", "d", "sees", "P(pass)")


def as_text(found: Calibration, screen: Screen | None = None) -> str:
    """The noise of every cell, the gate that fits it, and what to write into `gate.toml`."""
    screen = screen or Screen.of(sys.stdout)
    rows = [HEADERS, *map(_row, found.cells)]
    widths = [max(map(cells_wide, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            text + " " * (width - cells_wide(text))
            if column == 0
            else " " * (width - cells_wide(text)) + text
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    many = len(found.cells)
    told = [
        "sees: the smallest slowdown that is found with power 0.95; K: pairs of the first stage; d: limit",
        f"P(all {many} pass when nothing changed) = {found.all_pass:.1%}; "
        f"such a gate takes about {in_words(found.usual_s)}",
    ]
    told += [
        f"{clean(each.noise.label)}: neighbouring pairs are alike (p {each.serial_p:.2g}), so a gate would "
        "often be inconclusive here: find what drifts"
        for each in found.cells
        if each.alike
    ]
    told += [f"no proposal for {clean(label)}: {clean(error.message)}" for label, error in found.failures]
    if found.interrupted:
        told.append(f"interrupted: {many} of {found.asked} cells have a proposal")
    if any(each.noise.simulated for each in found.cells):
        told.append(SIMULATED)
    wrapped = [line for text in told for line in screen.wrap(text)]
    return "\n".join([*lines, "", *wrapped, "", "for gate.toml:", "", *tables(found)]) + "\n"


def tables(found: Calibration) -> list[str]:
    """The lines of a `gate.toml` with the proposals.

    Cells that a table cannot tell apart, such as batches, share one: the most pairs and the widest limit.
    """
    named: dict[tuple[str, str], list[Proposal]] = {}
    for each in found.cells:
        named.setdefault((each.noise.match, each.noise.target), []).append(each)
    lines: list[str] = []
    for (match, target), cells in named.items():
        limit = max(each.limit for each in cells)
        lines += [
            "[[cells]]",
            f"match = {json.dumps(clean(match))}",
            f"target = {json.dumps(clean(target))}",
            f"pairs = {max(each.pairs for each in cells)}",
            # Rounded up: a limit under the proposal would promise more than it keeps.
            f'max_regression = "{math.ceil(1000 * limit - 1e-9) / 10:.1f}%"',
            "",
        ]
    return lines[:-1]


def as_json(found: Calibration) -> str:
    """Everything that is known."""
    cells = [
        {**vars(each), "noise": {**vars(each.noise), "plan": each.noise.plan.model_dump()}}
        for each in found.cells
    ]
    told = {
        "cells": cells,
        "all_pass": found.all_pass,
        "usual_s": found.usual_s,
        "failures": [{"cell": label, "message": error.message} for label, error in found.failures],
        "interrupted": found.interrupted,
    }
    return json.dumps(told, indent=1) + "\n"


def _row(each: Proposal) -> tuple[str, ...]:
    return (
        clean(each.noise.label),
        f"{each.pair_sd:.2%}",
        f"{each.autocorrelation:+.2f}",
        str(each.pairs),
        f"{each.limit:.1%}",
        f"{each.visible:.1%}",
        f"{each.pass_chance:.2%}",
    )
