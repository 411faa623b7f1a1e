"""What several end-to-end tests start from."""

from __future__ import annotations

import pytest

from tests.support import phones
from tests.support.adb_device import Phone
from tests.support.adb_device.fixtures import MakePhone


@pytest.fixture
def phone(make_phone: MakePhone) -> Phone:
    """A phone that says that it is none."""
    return phones.furnish(make_phone(phones.STAND_IN))
