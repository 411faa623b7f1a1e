"""The action, and the README's samples for other CI servers, run as they are written in a clone."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.cli import vitbench
from tests.gate.scripted import write_target

PROJECT = Path(__file__).parents[2]
MODEL = "attention-8x16:4x4"


def sample(language: str, about: str = "") -> str:
    """The one block of the README in a language that says what it is about."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", (PROJECT / "README.md").read_text(), re.S | re.M)
    (found,) = (block for block in blocks if about in block)
    return str(found)


def git(directory: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=directory, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def commit(directory: Path, message: str) -> None:
    git(directory, "add", "--all")
    git(directory, "commit", "--quiet", "--message", message)


def clone(origin: Path, into: Path) -> Path:
    git(origin, "clone", "--quiet", str(origin), str(into))
    return into


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose first commit has a target, a configuration and a baseline of them."""
    made = tmp_path_factory.mktemp("origin")
    git(made, "init", "--quiet")
    write_target(made)
    (made / "gate.toml").write_text('[gate]\nmax_regression = "4%"\npairs = 7\n')
    (made / ".gitignore").write_text("results/*.json\nresults/gates/\n.index.json\n")
    commit(made, "a network and its target")
    done = vitbench("baseline", "save", "-m", MODEL, "-t", "board", cwd=made)
    assert done.code == 0, done.err
    commit(made, "its baseline")
    return made


@pytest.fixture
def green(origin: Path, tmp_path: Path) -> Path:
    """A clone with a commit that changes nothing that counts."""
    made = clone(origin, tmp_path / "clone")
    (made / "README.md").write_text("words")
    commit(made, "words")
    return made


@pytest.fixture
def red(origin: Path, tmp_path: Path) -> Path:
    """A clone with a commit that makes the network slower."""
    made = clone(origin, tmp_path / "clone")
    write_target(made, latency_ms=5.6)
    commit(made, "a mistake")
    return made


@pytest.fixture
def path_with_vitbench(tmp_path: Path) -> str:
    """A PATH on which `vitbench` and `python` are those of the tests; pip installs nothing."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "vitbench").write_text(f'#!/bin/sh\nexec {sys.executable} -m vitbench "$@"\n')
    (programs / "python").write_text(f'#!/bin/sh\necho "python $*" >> {tmp_path}/python.log\n')
    for program in programs.iterdir():
        program.chmod(0o755)
    return f"{programs}{os.pathsep}{os.environ['PATH']}"


def expand(text: str, values: dict[str, str]) -> str:
    """GitHub's expressions, as far as the action uses them."""
    return re.sub(r"\$\{\{\s*([\w.-]+)\s*\}\}", lambda found: values[found[1]], text)


def run_action(place: Path, path: str, **inputs: str) -> tuple[int, dict[str, str], str, str]:
    """Run the steps of action.yml as GitHub does; exit code, outputs, standard output and error."""
    action: dict[str, Any] = yaml.safe_load((PROJECT / "action.yml").read_text())
    unknown = set(inputs) - set(action["inputs"])
    assert not unknown
    given = {name: str(each["default"]) for name, each in action["inputs"].items()} | inputs
    values = {f"inputs.{name}": value for name, value in given.items()}
    output, summary = place.parent / "output", place.parent / "summary"
    code, out, err = 0, "", ""
    for step in action["runs"]["steps"]:
        condition = str(step.get("if", ""))
        if condition and expand(condition.replace("!= ''", ""), values).strip() == "":
            continue
        script = place.parent / "step.sh"
        script.write_text(step["run"])
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
            cwd=place / expand(step.get("working-directory", "."), values),
            env={
                **os.environ,
                **{name: expand(value, values) for name, value in step.get("env", {}).items()},
                "PATH": path,
                "GITHUB_ACTIONS": "true",
                "GITHUB_ACTION_PATH": str(PROJECT),
                "GITHUB_OUTPUT": str(output),
                "GITHUB_STEP_SUMMARY": str(summary),
            },
            capture_output=True,
            text=True,
            timeout=300,
        )
        code, out, err = done.returncode, out + done.stdout, err + done.stderr
        if code:
            break
    lines = output.read_text().splitlines() if output.exists() else []
    return code, dict(line.split("=", 1) for line in lines), out, err


def test_the_action_on_a_green_commit(green: Path, path_with_vitbench: str) -> None:
    code, outputs, out, err = run_action(
        green, path_with_vitbench, arguments="--simulated --seed 1", junit="gate.xml"
    )
    assert (code, outputs) == (0, {"exit-code": "0"}), err
    assert "1 cell: 1 PASS" in out
    assert "::error" not in err
    assert (green.parent / "summary").read_text().startswith("### ✅ vitbench gate")
    # The action and what it calls are of one version.
    assert (green.parent / "python.log").read_text() == f"python -m pip install --quiet {PROJECT}\n"
    suite = ET.parse(green / "gate.xml").find("testsuite")
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("1", "0", "0")


def test_the_action_on_a_red_commit(red: Path, path_with_vitbench: str) -> None:
    """In two stages, with annotations beside JSON that stays JSON."""
    code, outputs, out, err = run_action(
        red, path_with_vitbench, arguments="--simulated --json --seed 1", install=""
    )
    assert (code, outputs) == (1, {"exit-code": "1"}), err
    (cell,) = json.loads(out)["cells"]
    assert (cell["verdict"], len(cell["stages"])) == ("REGRESSION", 2)
    assert re.search(r"::error title=simulated REGRESSION%3A attention-8x16%3A4x4 on board::\+1[12]\.", err)
    assert "❌" in (red.parent / "summary").read_text()
    assert not (red.parent / "python.log").exists()


def test_no_input_of_the_action_is_read_as_shell(green: Path, path_with_vitbench: str) -> None:
    planted = green.parent / "planted"
    hostile = f"$(touch {planted}); touch {planted} #`touch {planted}`"
    code, _, _, err = run_action(
        green, path_with_vitbench, install="", arguments="--simulated", model=hostile, baseline="main"
    )
    assert code == 2
    assert "nothing to gate" in err
    assert not planted.exists()
    text = (PROJECT / "action.yml").read_text()
    for script in re.findall(r"run: \|?\n?(.*?)(?=\n\n|\Z)", text, flags=re.DOTALL):
        assert "${{" not in script


def test_the_shell_sample(green: Path, path_with_vitbench: str) -> None:
    done = subprocess.run(
        ["sh", "-c", sample("sh"), "gate.sh", "--simulated", "--seed", "1"],
        cwd=green,
        env=os.environ | {"PATH": path_with_vitbench},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith("gate: pass")
    assert (green / "gate.md").read_text().startswith("### ✅")
    ET.parse(green / "gate.xml")


def test_the_github_sample() -> None:
    """A whole workflow, and what it gives the action are inputs of it."""
    workflow = yaml.safe_load(sample("yaml", "pull_request"))
    # YAML 1.1 reads the key `on` as true.
    assert workflow[True] == "pull_request"
    steps = workflow["jobs"]["gate"]["steps"]
    (own,) = [step for step in steps if step["uses"].startswith("vitbench/")]
    action = yaml.safe_load((PROJECT / "action.yml").read_text())
    assert set(own["with"]) <= set(action["inputs"])
    assert steps[-1] == own


def test_the_gitlab_sample(green: Path, path_with_vitbench: str) -> None:
    """Every line of the job, in its order, as GitLab's shell runs them; scripted targets are gated too."""
    job = yaml.safe_load(sample("yaml", "GitLab CI"))["performance-gate"]
    script = "\n".join([*job["before_script"], *job["script"]])
    variables = {
        name: value.replace("$CI_PROJECT_DIR", str(green)) for name, value in job["variables"].items()
    }
    done = subprocess.run(
        [
            "bash",
            "-eo",
            "pipefail",
            "-c",
            script.replace("--baseline main", "--baseline main --simulated --seed 1"),
        ],
        cwd=green,
        env=os.environ | variables | {"PATH": path_with_vitbench},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    for name in (job["artifacts"]["reports"]["junit"], job["artifacts"]["paths"][0]):
        assert (green / name).exists()
    assert job["allow_failure"]["exit_codes"] == [3]


def test_the_action_s_arguments(green: Path, path_with_vitbench: str) -> None:
    """Options on several lines are all given, and the baseline is left to gate.toml."""
    program = Path(path_with_vitbench.split(os.pathsep)[0]) / "vitbench"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    code, _, out, err = run_action(
        green, path_with_vitbench, install="", arguments="--seed 1\n--allow-inconclusive\n"
    )
    assert code == 0, err
    assert out.split() == [
        *("gate", "--results", "results", "--github"),
        *("--seed", "1", "--allow-inconclusive"),
    ]
