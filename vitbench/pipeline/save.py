"""Store what was measured."""

from __future__ import annotations

from vitbench.pipeline.progress import Progress
from vitbench.records.document import Document
from vitbench.records.journal import Journal


def save(kept: Journal, record: Document, progress: Progress) -> None:
    """Store a record, drop its journal, and say what went wrong."""
    saved = kept.finish(record)
    if kept.problem:
        progress.note(kept.problem)
    if saved.problem:
        progress.note(f"{saved.problem}; the record is kept in {saved.location}")
