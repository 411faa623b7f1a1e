"""Comparisons with and without the time of their layers are read back, and the index tells it."""

from __future__ import annotations

import json

from benchmarks.example_comparisons import example_comparison, example_profile
from vitbench.records import document
from vitbench.records.comparison import Comparison
from vitbench.records.index import flatten_comparison


def test_profiles_are_read_back_as_they_were_written() -> None:
    for profiles in ((example_profile(), None), (example_profile(), example_profile(attention_ms=None))):
        comparison = example_comparison(profiles=profiles)
        again = document.parse(document.dump(comparison))
        assert isinstance(again, Comparison)
        assert again == comparison
        assert again.profiles[0] == profiles[0]


def test_a_document_from_before_has_none() -> None:
    data = json.loads(document.dump(example_comparison()))
    del data["profiles"]
    again = document.parse(json.dumps(data).encode())
    assert isinstance(again, Comparison)
    assert again.profiles == (None, None)


def test_the_index_has_them() -> None:
    flat = flatten_comparison(example_comparison(profiles=(None, example_profile())))
    assert flat["profiles"][0] is None
    assert flat["profiles"][1]["operators"][0]["op_type"] == "Conv"
    json.dumps(flat["profiles"], allow_nan=False)
