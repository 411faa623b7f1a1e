"""One row in pairs: what its comparison says before the first of them."""

from __future__ import annotations

import math

import pytest

from vitbench.pipeline.paired import _macs_ratio


@pytest.mark.parametrize(("first", "second", "ratio"), [(10, 5, 0.5), (0, 0, 1.0), (0, 5, math.inf)])
def test_networks_without_multiplications_have_a_ratio(first: int, second: int, ratio: float) -> None:
    assert _macs_ratio(first, second) == ratio
