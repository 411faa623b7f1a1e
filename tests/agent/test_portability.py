"""The agent runs on Python 3.8 with nothing but the standard library and its runtime."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import vitbench.agent
from tests.support.tensorrt_stand_in.interpreter import old_python
from vitbench.transport.zipapp import PACKAGE, build_zipapp

SOURCES = sorted(Path(vitbench.agent.__file__).parent.rglob("*.py"))
RUNTIME_MODULES = {"numpy", "onnxruntime", "tensorrt", "ai_edge_litert", "tensorflow", "torch"}
# Standard library names that came with 3.9 or later and are easily written by habit.
NEWER_NAMES = {
    "removeprefix",
    "removesuffix",
    "cache",
    "pairwise",
    "is_relative_to",
    "file_digest",
    "batched",
}
NEWER_MODULES = {"graphlib", "zoneinfo", "tomllib"}
GENERIC_BUILTINS = {"list", "dict", "tuple", "set", "frozenset", "type"}


def relative(path: Path) -> str:
    return path.relative_to(Path(vitbench.agent.__file__).parent).as_posix()


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_parses_as_python_3_8(path: Path) -> None:
    tree = ast.parse(path.read_text(), feature_version=(3, 8))
    assert ast.get_docstring(tree), "every module says what it is"


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_imports_only_the_standard_library_and_the_runtime(path: Path) -> None:
    depth = len(path.relative_to(SOURCES[0].parent).parts)
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level <= depth, f"{path}:{node.lineno} reaches out of the package"
            names = [node.module or ""] if node.level == 0 else []
        for name in names:
            top = name.partition(".")[0]
            assert top in RUNTIME_MODULES or top in sys.stdlib_module_names, f"{path}:{node.lineno} {name}"
            assert top not in NEWER_MODULES


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_uses_no_newer_standard_library(path: Path) -> None:
    tree = ast.parse(path.read_text())
    annotations = {id(inner) for outer in annotation_nodes(tree) for inner in ast.walk(outer)}
    for node in ast.walk(tree):
        where = f"{path}:{getattr(node, 'lineno', '?')}"
        if isinstance(node, ast.Attribute):
            assert node.attr not in NEWER_NAMES, where
        if isinstance(node, ast.Call):
            assert not any(word.arg == "strict" for word in node.keywords), where
        # `list[int]` and `X | None` are fine where they are never evaluated.
        if isinstance(node, ast.Subscript) and id(node) not in annotations:
            assert not (isinstance(node.value, ast.Name) and node.value.id in GENERIC_BUILTINS), where


def annotation_nodes(tree: ast.AST) -> list[ast.AST]:
    found: list[ast.AST | None] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            found.append(node.returns)
        if isinstance(node, ast.arg | ast.AnnAssign):
            found.append(node.annotation)
    return [node for node in found if node is not None]


def test_every_module_defers_annotations() -> None:
    for path in SOURCES:
        assert "from __future__ import annotations" in path.read_text(), path


@pytest.mark.python38
def test_every_module_is_imported_by_a_python_3_8_without_packages(tmp_path: Path) -> None:
    agent = build_zipapp(tmp_path / "agent.pyz")
    names = [
        ".".join([PACKAGE, *path.relative_to(SOURCES[0].parent).with_suffix("").parts]).removesuffix(
            ".__init__"
        )
        for path in SOURCES
        if path.name != "__main__.py"
    ]
    program = (
        f"import importlib, sys; sys.path.insert(0, {str(agent)!r})\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
        "print(len(sys.modules), [name for name in sys.modules if name.startswith(('numpy', 'torch'))])"
    )
    done = subprocess.run(
        [str(old_python()), "-I", "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("[]\n")
