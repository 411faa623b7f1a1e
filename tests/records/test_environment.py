"""The environment: identity that is neither too strict nor too loose, and what reports show of it."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from vitbench.records import environment

FACTS: dict[str, Any] = {
    "cpu_model": "AMD EPYC 9B14",
    "machine": "x86_64",
    "sockets": 1,
    "cores": 8,
    "threads": 16,
    "hypervisor": True,
    "kernel": "6.1.0-18",
    "os": "Debian GNU/Linux 12 (bookworm)",
    "memory_total_mb": 31984.2,
}


def git(directory: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(directory), *identity, *arguments], check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    directory = tmp_path / "checkout"
    directory.mkdir()
    git(directory, "init", "--quiet")
    (directory / "file").write_text("one")
    git(directory, "add", "file")
    git(directory, "commit", "--quiet", "-m", "one")
    return directory


@pytest.mark.parametrize(
    "changed",
    [
        {"kernel": "6.12"},
        {"threads": 8},
        {"memory_total_mb": 31900.0},
        {"os": "other"},
        {"bogomips": 5200.01},
    ],
)
def test_state_does_not_change_the_machine(changed: dict[str, Any]) -> None:
    assert environment.machine_key(FACTS, "cpu") == environment.machine_key(FACTS | changed, "cpu")


@pytest.mark.parametrize("changed", [{"cpu_model": "AMD EPYC 7B12"}, {"cores": 4}, {"machine": "aarch64"}])
def test_another_machine_has_another_key(changed: dict[str, Any]) -> None:
    assert environment.machine_key(FACTS, "cpu") != environment.machine_key(FACTS | changed, "cpu")


@pytest.mark.parametrize(
    "changed", [{"board": "NVIDIA Jetson AGX Orin"}, {"gpu_name": "NVIDIA L4"}, {"gpu_mig": True}]
)
def test_another_board_or_gpu_has_another_key(changed: dict[str, Any]) -> None:
    assert environment.machine_key(FACTS, "x") != environment.machine_key(FACTS | changed, "x")


def test_keys_of_processors_stay_what_they_were() -> None:
    known = {"cpu_model": "Example CPU 9000", "machine": "x86_64", "sockets": 1, "cores": 8}
    assert environment.machine_key(known | {"hypervisor": False}, "Example CPU 9000") == "c6a1534d2d52"


def test_another_device_in_the_same_machine_has_another_key() -> None:
    assert environment.machine_key(FACTS, "NVIDIA A100") != environment.machine_key(FACTS, "NVIDIA H100")


def test_a_machine_that_tells_nothing_still_has_a_key() -> None:
    assert len(environment.machine_key({}, "phone")) == 12


def test_the_fingerprint_is_plain_json(tmp_path: Path) -> None:
    odd = FACTS | {"path": PurePosixPath("/x"), "allowed_cpus": (0, 1)}
    found = environment.fingerprint(odd, {"governor": "performance"}, device="cpu", directory=tmp_path)
    assert json.loads(json.dumps(found)) == found
    assert found["facts"]["path"] == "/x"
    assert found["state"] == {"governor": "performance"}
    assert found["libraries"]["numpy"] == metadata.version("numpy")
    assert found["git"]["directory"] is None


def test_reports_show_a_few_facts_of_it(tmp_path: Path) -> None:
    found = environment.fingerprint(FACTS, {"governor": "powersave"}, device="cpu", directory=tmp_path)
    short = environment.summary(found)
    assert short["machine_key"] == environment.machine_key(FACTS, "cpu")
    assert (short["cpu_model"], short["governor"]) == ("AMD EPYC 9B14", "powersave")


@pytest.mark.parametrize("foreign", [{}, {"facts": 3, "git": None}, {"git": {"project": "no"}}])
def test_a_foreign_environment_has_an_empty_summary(foreign: dict[str, Any]) -> None:
    assert set(environment.summary(foreign).values()) == {None}


def test_git_says_commit_and_dirty(checkout: Path) -> None:
    clean = environment.git_state(checkout)
    assert clean is not None
    assert len(clean["commit"]) == 40
    assert clean["dirty"] is False
    (checkout / "untracked").write_text("a record, say")
    assert environment.git_state(checkout) == clean
    (checkout / "file").write_text("two")
    assert environment.git_state(checkout) == clean | {"dirty": True}


def test_git_runs_no_program_that_the_checkout_names(checkout: Path) -> None:
    hook = checkout / "hook"
    hook.write_text(f"#!/bin/sh\ntouch {checkout}/was-run\n")
    hook.chmod(0o755)
    git(checkout, "config", "core.fsmonitor", str(hook))
    assert environment.git_state(checkout) is not None
    assert not (checkout / "was-run").exists()


def test_git_is_not_led_astray_by_the_surroundings(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    assert environment.git_state(checkout) is not None


@pytest.mark.parametrize("case", ["outside", "no git", "empty"])
def test_no_commit_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    if case == "no git":
        monkeypatch.setenv("PATH", str(tmp_path))
    if case == "empty":
        git(tmp_path, "init", "--quiet")
    assert environment.git_state(tmp_path) is None


def test_reading_records_imports_nothing_heavy(tmp_path: Path) -> None:
    program = (
        "import sys; from vitbench.records import index; from vitbench.records.store import Store\n"
        f"index.load(Store({str(tmp_path)!r}))\n"
        "print([m for m in ('torch', 'onnx', 'scipy', 'pandas', 'numpy', 'pydantic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"
