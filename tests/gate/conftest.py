"""Fixtures of the gate's tests."""

from __future__ import annotations

from tests.gate.scripted import scene

__all__ = ["scene"]
