"""What is measured is kept, whatever becomes of the second opinion on it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.pipeline.test_throughput import Told
from vitbench import pipeline
from vitbench.records.schema import Record
from vitbench.records.store import Store
from vitbench.request import parse_request


def test_a_second_opinion_that_is_interrupted_costs_no_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> tuple[str, ...]:
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["vitbench.pipeline.run"], "second_opinion", interrupted)
    request = parse_request(models=["attention-4x16:7x7"], targets=["sim"], blocks=1)
    outcome = pipeline.run(request, str(tmp_path), Told())
    assert outcome.interrupted
    (record,) = outcome.records
    assert isinstance(record, Record)
    assert record.estimate is not None
    assert "not cross-checked by trtexec: interrupted by the user" in record.reasons
    documents, problems = Store(str(tmp_path)).records()
    assert not problems
    assert [document.id for document in documents] == [record.id]
    assert not any(Store(str(tmp_path)).running_dir.iterdir())
