"""Fixtures for tests against boards; `tests/conftest.py` takes them in."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.sshd.board import ALIAS, Board
from vitbench.catalog.specs import TargetSpec
from vitbench.transport.ssh import SshTransport


@pytest.fixture
def board(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Board]:
    """A board; programs that the test starts, and the test itself, reach it as `board`."""
    made = Board(tmp_path_factory.mktemp("board"))
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    yield made
    made.gone()


def board_target(host: str | None = None, name: str = ALIAS) -> TargetSpec:
    """A target behind ssh."""
    return TargetSpec(
        name=name, title="a board", transport="ssh", runtime="onnxruntime", host=host, options={}
    )


def open_board(host: str | None = None) -> SshTransport:
    """Reach the board, or what has another name."""
    return SshTransport(board_target(host))
