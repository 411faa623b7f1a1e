"""A phone for every test that wants one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.android.phone import FakePhone


@pytest.fixture
def phone(tmp_path: Path) -> FakePhone:
    return FakePhone(tmp_path / "phone")
