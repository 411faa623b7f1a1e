"""Where the tool is looked for, and how it is kept."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.phones import program_for
from vitbench.benchmark_model.binary import ABIS, inspect
from vitbench.benchmark_model.flags import Flags
from vitbench.benchmark_model.matters import meanings, missing
from vitbench.benchmark_model.place import VARIABLE, Place, find, keep, kept
from vitbench.benchmark_model.sources import SOURCES, build_command
from vitbench.errors import UsageError

ARM64, ARM = "arm64-v8a", "armeabi-v7a"


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def tool(folder: Path, abi: str = ARM64, more: bytes = b"") -> Path:
    path = folder / "downloaded"
    path.write_bytes(program_for(abi) + more)
    return path


def test_what_was_named_comes_before_what_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find(None, [ARM64]) is None
    place = keep(inspect(tool(tmp_path)), ARM64)
    assert find(None, [ARM64]) == Place(place, "kept by setup")
    monkeypatch.setenv(VARIABLE, "~/variable")
    assert find(None, [ARM64]) == Place(tmp_path / "home" / "variable", f"${VARIABLE}")
    assert find("~/option", [ARM64]) == Place(tmp_path / "home" / "option", "--benchmark-binary")
    monkeypatch.setenv(VARIABLE, "")
    assert find("", [ARM64]) == Place(place, "kept by setup")


def test_the_first_abi_that_has_one(tmp_path: Path) -> None:
    arm = keep(inspect(tool(tmp_path, ARM)), ARM)
    assert find(None, [ARM64, ARM]) == Place(arm, "kept by setup")
    assert find(None, ["x86_64"]) is None
    # A phone that does not tell: whatever there is.
    assert find(None, []) == Place(arm, "kept by setup")
    arm64 = keep(inspect(tool(tmp_path)), ARM64)
    assert find(None, [ARM64, ARM]) == Place(arm64, "kept by setup")


def test_an_abi_is_no_path(tmp_path: Path) -> None:
    place = kept(ARM64)
    place.parent.mkdir(parents=True)
    (place.parent / "secret").write_bytes(b"x")
    assert find(None, ["arm64-v8a/../secret", "../../x", ""]) is None


@pytest.mark.parametrize(
    ("variable", "expected"),
    [(None, "home/.local/share"), ("", "home/.local/share"), ("relative", "home/.local/share"), ("/x", "/x")],
)
def test_the_directory_follows_its_specification(
    variable: str | None, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if variable is not None:
        monkeypatch.setenv("XDG_DATA_HOME", variable)
    assert kept(ARM64) == tmp_path / expected / "vitbench" / "benchmark_model-arm64-v8a"


def test_a_copy_is_whole_can_be_executed_and_replaces(tmp_path: Path) -> None:
    place = keep(inspect(tool(tmp_path, more=b"first")), ARM64)
    assert place == keep(inspect(tool(tmp_path, more=b"second")), ARM64)
    assert place.read_bytes() == program_for(ARM64) + b"second"
    assert place.stat().st_mode & 0o777 == 0o755
    assert [path.name for path in place.parent.iterdir()] == [place.name]
    # Keeping what is kept changes nothing.
    assert keep(inspect(place), ARM64).read_bytes() == program_for(ARM64) + b"second"


def test_a_file_that_changes_meanwhile_is_not_kept(tmp_path: Path) -> None:
    checked = inspect(tool(tmp_path))
    tool(tmp_path, more=b"other")
    with pytest.raises(UsageError, match="changed while it was copied"):
        keep(checked, ARM64)
    assert find(None, [ARM64]) is None
    assert list(kept(ARM64).parent.iterdir()) == []


def test_nowhere_to_keep_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "file"))
    with pytest.raises(UsageError, match="cannot keep") as caught:
        keep(inspect(tool(tmp_path)), ARM64)
    assert "$XDG_DATA_HOME" in (caught.value.hint or "")


def test_what_never_ends_is_no_tool(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(UsageError, match="is no file but a pipe"):
            inspect(path)


def test_flags_that_matter() -> None:
    assert set(ABIS) == {ARM64, ARM, "x86_64", "x86"}
    assert "use_xnnpack" in meanings("tflite")
    assert "use_cpu" in meanings("litert")
    known = dict.fromkeys(meanings("tflite"), "")
    assert missing(Flags("tflite", known)) == []
    del known["min_secs"]
    assert missing(Flags("tflite", known)) == ["--min_secs"]


@pytest.mark.parametrize(
    ("abis", "config"),
    [((), "android_arm64"), (("x86_64", "arm64-v8a"), "android_x86_64"), (("mips", ARM), "android_arm")],
)
def test_how_to_build_it(abis: tuple[str, ...], config: str) -> None:
    assert f" --config={config} " in build_command(abis)
    assert {source.abi for source in SOURCES} <= set(ABIS)
    assert all(source.url.startswith("https://") for source in SOURCES)
