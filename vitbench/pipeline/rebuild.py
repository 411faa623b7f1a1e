"""Rebuild the artifact of a baseline from the commits it was made of."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from vitbench.export import Artifact, ArtifactCache
from vitbench.export.manifest import DamagedArtifact
from vitbench.gate.baseline import BaselineCell, Sources

TIMEOUT_S = 1800.0
# The checkout that vitbench runs from, where it was not installed by copying.
PROJECT = Path(__file__).parents[2]


class CannotRebuild(Exception):
    """The sources are not at hand, or something else came of them; the message says which."""


def rebuild(saved: BaselineCell, sources: Sources, scratch: Path) -> Artifact:
    """Export a cell again, by the code and from the files of the commits that its baseline is pinned to.

    Only commits of the repositories at hand are checked out, into a directory of their own; nothing is
    fetched. What comes out must have the digest that the baseline says.

    Args:
        saved: the cell.
        sources: commits of vitbench and of the working directory; one that is None was no checkout then, and
            what is installed, or lies here, is taken.
        scratch: an empty directory that stays for as long as the artifact is used.

    Raises:
        CannotRebuild: a commit is missing, the export failed, or another artifact came out.
    """
    if sources.project is None and sources.directory is None:
        raise CannotRebuild("it was saved outside of a checkout, or from changes that were not committed")
    here = Path.cwd()
    directory = (
        here if sources.directory is None else _checkout(here, sources.directory, scratch / "directory")
    )
    code = PROJECT if sources.project is None else _code(sources.project, scratch / "project")
    cache = scratch / "cache"
    _export(saved, directory, code, cache)
    made = ArtifactCache(cache)
    try:
        # Not by the baseline's key, which knows the place of a Python file: what runs is what counts.
        found = [made.get(entry.key) for entry in made.entries()]
    except DamagedArtifact as damage:
        raise CannotRebuild(f"what was exported is damaged: {damage}") from None
    for artifact in found:
        if artifact is not None and artifact.digest == saved.digest:
            return artifact
    given = ", ".join(artifact.digest[:12] for artifact in found if artifact is not None) or "nothing"
    raise CannotRebuild(
        f"its sources give {given} here, not {saved.digest[:12]}: another exporter is installed"
    )


def _code(commit: str, into: Path) -> Path:
    """vitbench as of a commit: of the checkout that runs; where it is installed, of the working directory."""
    if (PROJECT / ".git").exists():
        return _checkout(PROJECT, commit, into)
    top = Path(_git(Path.cwd(), "rev-parse", "--show-toplevel").strip())
    code = _checkout(top, commit, into)
    if not (code / "vitbench" / "__main__.py").is_file():
        raise CannotRebuild(f"commit {commit[:12]} of {top} has no vitbench in it")
    return code


def _checkout(repository: Path, commit: str, into: Path) -> Path:
    """The files of a commit, as they lie in a directory of a repository; the same directory in a copy."""
    top = Path(_git(repository, "rev-parse", "--show-toplevel").strip())
    _git(repository, "cat-file", "-e", f"{commit}^{{commit}}", why=f"commit {commit[:12]} is not in {top}")
    # A clone that shares its objects: the repository itself is left as it is.
    _git(repository, "clone", "--quiet", "--shared", "--no-checkout", str(top), str(into))
    _git(into, "checkout", "--quiet", "--detach", commit)
    return into / repository.resolve().relative_to(top.resolve())


def _git(directory: Path, *arguments: str, why: str | None = None) -> str:
    surroundings = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    try:
        done = subprocess.run(
            [
                "git",
                "-C",
                str(directory),
                "-c",
                "core.fsmonitor=false",
                "-c",
                "core.hooksPath=/dev/null",
                *arguments,
            ],
            capture_output=True,
            check=True,
            timeout=TIMEOUT_S,
            env=surroundings,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.CalledProcessError as error:
        last = error.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or ["git failed"]
        raise CannotRebuild(why or last[0]) from None
    except (OSError, subprocess.SubprocessError) as error:
        raise CannotRebuild(f"git cannot be run: {error}") from None
    return done.stdout.decode("utf-8", "replace")


def _export(saved: BaselineCell, directory: Path, code: Path, cache: Path) -> None:
    asked = saved.asked
    command = [
        sys.executable,
        "-P",
        "-m",
        "vitbench",
        "export",
        "--model",
        asked.model,
        "--target",
        asked.target,
        "--batch",
        str(asked.batch),
        "--precision",
        asked.precision,
        "--seed",
        str(asked.seed),
        "--json",
    ]
    if asked.resolution is not None:
        command += ["--resolution", f"{asked.resolution[0]}x{asked.resolution[1]}"]
    if asked.weights_file is not None:
        command += ["--weights", asked.weights_file]
    surroundings = os.environ | {"VITBENCH_CACHE": str(cache), "PYTHONPATH": str(code)}
    try:
        done = subprocess.run(
            command,
            cwd=directory,
            env=surroundings,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise CannotRebuild(f"the export cannot be run: {error}") from None
    if done.returncode != 0:
        told = done.stderr.decode("utf-8", "replace").strip().splitlines()
        first = next((line for line in told if line.startswith("error:")), "it failed")
        raise CannotRebuild(f"its export: {first}")
