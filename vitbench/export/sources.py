"""Which source files an artifact depends on, read from their text: nothing of them is imported."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

ZOO = "vitbench.zoo"
# What every network of the zoo passes through, whoever builds it.
ALWAYS = ("__init__", "deploy", "formulation", "init", "weights")


def python_files(package: Path, folders: Iterable[str]) -> dict[str, Path]:
    """Python files of some folders of a package, by their path inside it."""
    return {
        path.relative_to(package).as_posix(): path
        for folder in folders
        for path in (package / folder).rglob("*.py")
    }


def zoo_files(package: Path, module: str | None, others: Iterable[Path] = ()) -> dict[str, Path]:
    """The files of the zoo that a network is made by, by their path inside the package.

    These are the ones that every network passes through, the module of its family, and whatever of the zoo
    those import, wherever in a file the import stands. A change in another family changes none of them.

    Args:
        package: directory of `vitbench`.
        module: the family's module in `vitbench.zoo`; None for one from elsewhere.
        others: files outside the zoo that import from it.
    """
    wanted = [*ALWAYS, *([module] if module else [])]
    for path in others:
        wanted += _imported(path, "")
    found: dict[str, Path] = {}
    while wanted:
        place = Path(*wanted.pop().split("."))
        for name in (Path("zoo", place).with_suffix(".py"), Path("zoo", place, "__init__.py")):
            path = package / name
            if name.as_posix() not in found and path.is_file():
                found[name.as_posix()] = path
                wanted += _imported(path, ZOO)
    return found


def _imported(path: Path, package: str) -> list[str]:
    """Names below `vitbench.zoo` that a file of a package imports; those of functions are no modules."""
    try:
        tree = ast.parse(path.read_bytes(), str(path))
    except SyntaxError:  # of no use to anybody who imports it either
        return []
    names = [name for node in ast.walk(tree) for name in _names(node, package)]
    return [name.removeprefix(f"{ZOO}.") for name in names if name.startswith(f"{ZOO}.")]


def _names(node: ast.AST, package: str) -> Iterator[str]:
    """Every name that may be the module an import means; all files of the zoo lie in one folder."""
    if isinstance(node, ast.Import):
        yield from (each.name for each in node.names)
    elif isinstance(node, ast.ImportFrom):
        module = ".".join(part for part in (package if node.level else "", node.module) if part)
        yield module
        yield from (f"{module}.{each.name}" for each in node.names)
