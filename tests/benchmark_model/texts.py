"""The logs that were written for these tests, by name."""

from __future__ import annotations

from pathlib import Path

LOGS = Path(__file__).parent / "logs"
GOOD = sorted(path.stem for path in LOGS.glob("*.txt"))
FAILED = sorted(path.stem for path in (LOGS / "failed").glob("*.txt"))


def text_of(name: str) -> str:
    return (LOGS / f"{name}.txt").read_text()
