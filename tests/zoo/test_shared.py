"""Shared pieces exist once: no two modules of the zoo have a passage in common."""

from __future__ import annotations

import ast
from itertools import combinations
from pathlib import Path

import vitbench.zoo

LINES = 6
MODULES = sorted(Path(vitbench.zoo.__file__).parent.glob("*.py"))


def passages(source: str, lines: int = LINES) -> set[tuple[str, ...]]:
    """Every run of so many lines of code; blank lines, comments and imports aside."""
    imports = {
        line
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    numbered = enumerate((line.strip() for line in source.splitlines()), 1)
    code = [line for number, line in numbered if line and number not in imports and not line.startswith("#")]
    return {tuple(code[at : at + lines]) for at in range(len(code) - lines + 1)}


def test_no_two_modules_share_a_passage() -> None:
    found = {path.stem: passages(path.read_text()) for path in MODULES}
    shared = {(first, second): found[first] & found[second] for first, second in combinations(found, 2)}
    assert {modules: both for modules, both in shared.items() if both} == {}


def test_a_shared_passage_is_found() -> None:
    body = "\n".join(f"    x = layer_{number}(x)" for number in range(LINES))
    first, second = f"def first(x):\n{body}", f"import torch\n\ndef second(x):\n{body}\n# end"
    assert passages(first) & passages(second)
    assert not passages(first) & passages(second.replace("layer_3", "other"))
