"""The environment of a measurement: which machine, in which state, with which software.

Identity and state are kept apart. `machine_key` is made of facts that stay as they are for the life of a
machine, so that histories of one machine stay together; clocks, load, kernel and versions are state.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Mapped = Mapping[str, Any]

# Online threads, memory and clocks are left out: they differ between two boots of one machine.
IDENTITY = ("cpu_model", "machine", "sockets", "cores", "hypervisor")
# Of what computes; only part of the identity where an agent tells them, which looks at them for GPUs alone.
GPU_IDENTITY = ("board", "gpu_name", "gpu_mig")
LIBRARIES = (
    *("vitbench", "numpy", "scipy", "pandas", "pydantic", "psutil"),
    *("torch", "onnx", "onnxscript", "onnx-ir", "onnxruntime"),
    *("litert-torch", "litert-converter", "ai-edge-litert"),
)
_GIT_TIMEOUT_S = 10


def fingerprint(
    facts: Mapped, readings: Mapped, *, device: str, directory: Path | None = None
) -> dict[str, Any]:
    """Describe where a measurement takes place, as it goes into the record.

    Args:
        facts: static facts of the device, from its agent (`vitbench.agent.machine.describe`).
        readings: its witnesses before the first block (`vitbench.agent.probe.read`).
        device: name of what runs the network, as the runtime gives it.
        directory: the user's working directory; the present one when None.

    Returns:
        `machine_key`; `facts` and `state` of the device; `host`, the machine vitbench itself ran on;
        `libraries`, name to version; `git`: commit and dirty flag of vitbench's checkout (`project`) and of
        the working directory (`directory`), each None where there is none. Plain JSON values only.
    """
    project = Path(__file__).parents[2]
    described = {
        "machine_key": machine_key(facts, device),
        "facts": dict(facts),
        "state": dict(readings),
        "host": _host(),
        "libraries": library_versions(),
        "git": {
            # A package installed somewhere inside another checkout is no part of it.
            "project": git_state(project) if (project / ".git").exists() else None,
            "directory": git_state(directory or Path.cwd()),
        },
    }
    plain: dict[str, Any] = json.loads(json.dumps(described, default=str))
    return plain


def machine_key(facts: Mapped, device: str) -> str:
    """12 hex digits that are equal for measurements on the same kind of machine, whatever its state."""
    identity = [device, *(facts.get(name) for name in IDENTITY)]
    identity += [[name, facts[name]] for name in GPU_IDENTITY if name in facts]
    return hashlib.sha256(json.dumps(identity, default=str).encode()).hexdigest()[:12]


def library_versions() -> dict[str, str]:
    """Versions of the libraries a figure may depend on, without importing them; absent ones left out."""
    from importlib import metadata

    found = {}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def git_state(directory: Path, *, apart_from: Sequence[Path] = ()) -> dict[str, Any] | None:
    """Commit of a checkout, and whether a tracked file differs from it; None outside one, or without git.

    Args:
        directory: in the checkout.
        apart_from: files that do not count, where they are below `directory`.
    """
    commit = _git(directory, "rev-parse", "HEAD")
    if commit is None:
        return None
    top = directory.resolve()
    left_out = [each.resolve() for each in apart_from]
    apart = [f":(exclude,literal){each.relative_to(top)}" for each in left_out if each.is_relative_to(top)]
    changes = _git(directory, "status", "--porcelain", "--untracked-files=no", "--", ":/", *apart)
    return {"commit": commit, "dirty": None if changes is None else bool(changes)}


def summary(environment: Mapped) -> dict[str, Any]:
    """The few facts of an environment that reports show. What a foreign record lacks is None."""
    facts, state = _part(environment, "facts"), _part(environment, "state")
    git = _part(_part(environment, "git"), "project")
    return {
        "machine_key": environment.get("machine_key"),
        "cpu_model": facts.get("cpu_model"),
        "os": facts.get("os"),
        "kernel": facts.get("kernel"),
        "governor": state.get("governor"),
        "git_commit": git.get("commit"),
        "git_dirty": git.get("dirty"),
    }


def _host() -> dict[str, Any]:
    name = hashlib.sha256(f"vitbench {platform.node()}".encode()).hexdigest()[:8]
    return {
        # Tells hosts apart without publishing their names.
        "name_hash": name,
        "system": platform.system(),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "python": platform.python_version(),
    }


def _git(directory: Path, *arguments: str) -> str | None:
    import subprocess

    program = shutil.which("git")
    if program is None:
        return None
    # A repository's own configuration may name a program to run on `status`: not here.
    command = [program, "-C", str(directory), "-c", "core.fsmonitor=false", *arguments]
    surroundings = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            check=True,
            timeout=_GIT_TIMEOUT_S,
            env=surroundings | {"GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("utf-8", "replace").strip()


def _part(mapping: Mapped, name: str) -> Mapped:
    part = mapping.get(name)
    return part if isinstance(part, Mapping) else {}
