"""Parity of an artifact holds where it was checked."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from vitbench.export import parity
from vitbench.pipeline.device import KnownParity, check_parity
from vitbench.records.schema import Parity


def test_an_artifact_is_checked_once_on_each_target(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eager and compiled PyTorch run one artifact in two ways, and so do two boards."""
    checked = []

    def check(artifact: Any, session: Any) -> Any:
        checked.append(session)
        return SimpleNamespace(passed=session == "eager")

    monkeypatch.setattr(parity, "check", check)
    known: KnownParity = {}
    found: list[Parity | None] = []
    for target in ("eager", "compiled", "eager"):
        device: Any = SimpleNamespace(
            artifact=SimpleNamespace(digest="a" * 64),
            engine=SimpleNamespace(checked_by=None),
            cell=SimpleNamespace(target=SimpleNamespace(name=target)),
        )
        session: Any = target
        found.append(check_parity(device, session, known))
    assert checked == ["eager", "compiled"]
    assert [each is not None and each.passed for each in found] == [True, False, True]
