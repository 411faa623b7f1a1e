import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from vitbench import catalog
from vitbench.catalog import Workload
from vitbench.export.key import hash_sources, key_parts, make_key
from vitbench.export.sources import python_files, zoo_files

REPOSITORY = Path(__file__).parents[2]
BASE = Workload(model=catalog.resolve_model("effvit-b1"))
RUNTIME = {"target_runtime": "onnxruntime", "runtime_version": "1.31.1"}


def key_of(workload: Workload = BASE, **changes: Any) -> str:
    return make_key(key_parts(workload, **(RUNTIME | changes)))


def test_the_key_is_stable() -> None:
    assert key_of() == key_of(Workload(model=catalog.resolve_model("effvit-b1")))
    assert len(key_of()) == 64


@pytest.mark.parametrize(
    "other",
    [
        BASE.model_copy(update={"batch": 2}),
        BASE.model_copy(update={"precision": "fp16"}),
        BASE.model_copy(update={"weights": "seeded:1"}),
        BASE.model_copy(update={"weights": "sha256:" + "0" * 64}),
        BASE.model_copy(update={"model": catalog.resolve_model("effvit-b2")}),
        BASE.model_copy(update={"model": catalog.resolve_model("effvit-b1:256x256")}),
        BASE.model_copy(update={"model": catalog.resolve_model("effvit-b1:224x256")}),
        BASE.model_copy(update={"model": catalog.resolve_model("effvit-b1+softmax")}),
        BASE.model_copy(update={"model": catalog.resolve_model("effvit-b1@train")}),
    ],
    ids=lambda workload: f"{workload.label} {workload.precision} {workload.weights[:10]}",
)
def test_every_part_of_a_workload_changes_the_key(other: Workload) -> None:
    assert key_of(other) != key_of()


@pytest.mark.parametrize(
    "change",
    [
        {"target_runtime": "litert"},
        {"runtime_version": "1.32.0"},
        {"formulation": {"relu": "ones-pad"}},
    ],
    ids=str,
)
def test_the_runtime_and_the_formulation_change_the_key(change: dict[str, Any]) -> None:
    assert key_of(**change) != key_of()


def test_the_versions_of_the_exporter_change_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = key_of()
    monkeypatch.setattr("vitbench.export.formats.version", lambda name: "0.0.1" if name == "torch" else "1")
    assert key_of() != before


def test_sources_are_hashed_by_name_and_content(tmp_path: Path) -> None:
    (tmp_path / "zoo" / "deep").mkdir(parents=True)
    (tmp_path / "zoo" / "a.py").write_text("a = 1\n")
    (tmp_path / "zoo" / "deep" / "b.py").write_text("b = 1\n")
    (tmp_path / "zoo" / "notes.txt").write_text("not code")
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "c.py").write_text("c = 1\n")
    files = python_files(tmp_path, ["zoo"])
    assert set(files) == {"zoo/a.py", "zoo/deep/b.py"}
    before = hash_sources(files)
    assert hash_sources(dict(reversed(files.items()))) == before
    (tmp_path / "zoo" / "deep" / "b.py").write_text("b = 2\n")
    assert hash_sources(files) != before


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the package, as somebody has it who works on it."""
    for name in ("vitbench", "models", "targets"):
        shutil.copytree(REPOSITORY / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def key_in(checkout: Path, model: str = "effvit-b0") -> str:
    """The key of a model as the package in a checkout makes it, without torch."""
    script = f"""
        import sys
        from vitbench import catalog
        from vitbench.catalog import Workload
        from vitbench.export.key import key_parts, make_key
        workload = Workload(model=catalog.resolve_model({model!r}))
        parts = key_parts(workload, target_runtime="r", runtime_version="1")
        assert "torch" not in sys.modules
        print(make_key(parts))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=checkout,
        env=os.environ | {"PYTHONPATH": str(checkout)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.strip()


def change(file: Path) -> None:
    """Add a line that nothing depends on."""
    file.write_text(file.read_text() + "\n# a line more\n")


def test_only_what_a_network_is_made_by_changes_its_key(checkout: Path) -> None:
    package = checkout / "vitbench"
    before = key_in(checkout)
    for other in ("zoo/segformer.py", "zoo/pyramid.py", "catalog/builders.py", "report/__init__.py"):
        change(package / other)
    assert key_in(checkout) == before
    for own in ("zoo/blocks.py", "zoo/__init__.py", "export/parity.py", "counting/operators.py"):
        change(package / own)
        after = key_in(checkout)
        assert after != before
        before = after


def test_a_changed_line_of_the_attention_changes_the_key(checkout: Path) -> None:
    before = key_in(checkout)
    source = checkout / "vitbench" / "zoo" / "attention.py"
    text = source.read_text()
    changed = text.replace("NORMALISER_EPS = 1e-15", "NORMALISER_EPS = 1e-14")
    assert changed != text
    source.write_text(changed)
    assert key_in(checkout) != before


def test_imports_are_followed_wherever_and_however_they_are_written(tmp_path: Path) -> None:
    sources = {
        "__init__.py": "from vitbench.zoo.shared import thing\n",
        "net.py": "import numpy\ndef build(spec):\n    import vitbench.zoo.first\n",
        "first.py": "from vitbench.zoo import second, SIZE\nfrom vitbench.zoo.deep import third\n",
        "second.py": "from .net import build\nfrom . import fourth\n",
        "fourth.py": "not python\n",
        "shared.py": "import vitbench.zoo.absent\n",
        "deep/__init__.py": "",
        "deep/third.py": "",
        "other.py": "from vitbench.zoo.net import build\n",
    }
    for name, text in sources.items():
        path = tmp_path / "zoo" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    common = {"zoo/__init__.py", "zoo/shared.py"}
    own = {f"zoo/{name}" for name in sources if name != "other.py"}
    assert set(zoo_files(tmp_path, "net")) == own
    assert set(zoo_files(tmp_path, None)) == common
    elsewhere = tmp_path / "elsewhere.py"
    elsewhere.write_text("from . import other\nfrom vitbench.zoo.deep.third import third\n")
    assert set(zoo_files(tmp_path, None, [elsewhere])) == common | {"zoo/deep/third.py"}


def test_a_changed_line_of_another_package_with_a_family_changes_the_key(checkout: Path) -> None:
    package = checkout / "elsewhere"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "nets.py").write_text("def build(spec): ...\n")
    metadata = checkout / "elsewhere-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: elsewhere\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[vitbench.families]\nelsewhere = elsewhere.nets:build\n")
    (checkout / "models" / "other.toml").write_text(
        'family = "other"\ntitle = "Other"\nbuilder = "elsewhere"\n'
        'paper = "none"\nlicence = "MIT"\nstride = 32\n'
        '[variants.x]\ntask = "cls"\nresolution = [64, 64]\n'
    )
    before, ours = key_in(checkout, "other-x"), key_in(checkout)
    (package / "nets.py").write_text("def build(spec): return None\n")
    assert key_in(checkout, "other-x") != before
    assert key_in(checkout) == ours
