"""Another Python for the agent on this machine."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.tensorrt_stand_in.interpreter import make_python
from vitbench import transport
from vitbench.catalog.specs import TargetSpec
from vitbench.errors import UsageError
from vitbench.runtime import open_agent


def target(python: Path | str) -> TargetSpec:
    return TargetSpec(name="here", title="here", transport="local", runtime="tensorrt", python=str(python))


def test_the_agent_runs_under_it(tmp_path: Path) -> None:
    python = make_python(tmp_path / "python", packages=False)
    with transport.open(target(python)) as link, open_agent(link) as agent:
        assert agent.examine("tensorrt", {})["executable"] == str(python)
        described = link.describe()
    assert described["executable"] == str(python)
    assert described["python"] == ".".join(map(str, sys.version_info[:3]))


def test_it_is_found_from_where_vitbench_was_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_python(tmp_path / "python", packages=False)
    monkeypatch.chdir(tmp_path)
    with transport.open(target("python/bin/python")) as link, open_agent(link) as agent:
        # The environment's own, not what its link leads to.
        assert agent.examine("tensorrt", {})["executable"] == str(tmp_path / "python" / "bin" / "python")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot run `.*python`: No such file"),
        ("#!/bin/sh\nexit 3\n", "is no Python that works"),
        ("#!/bin/sh\necho hello\n", "is no Python that works"),
        ("#!/bin/sh\necho 3 7 16\n", r"is Python 3\.7\.16, and the agent needs 3\.8"),
    ],
    ids=["absent", "fails", "other", "old"],
)
def test_one_that_will_not_do(tmp_path: Path, content: str | None, words: str) -> None:
    python = tmp_path / "python"
    if content is not None:
        python.write_text(content)
        python.chmod(0o755)
    with transport.open(target(python)) as link, pytest.raises(UsageError, match=words) as raised:
        open_agent(link)
    assert "target 'here'" in raised.value.message
    assert 'python = "/path/to/python3"' in str(raised.value.hint)


@pytest.mark.parametrize("name", ["", "-c", " python3", "a\nb"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(ValueError, match="python"):
        target(name)
