"""What `compare` was asked for becomes rows, or a message that names what does not fit."""

from __future__ import annotations

from typing import Any

import pytest

from vitbench.errors import UsageError
from vitbench.study.request import Asked, parse_study
from vitbench.study.rows import StudyRequest

CPU = Asked(targets=("cpu",))


def study(*names: str, **asked: Any) -> StudyRequest:
    return parse_study(names, Asked(**{"targets": ("cpu",), **asked}))


@pytest.mark.parametrize(
    ("names", "asked", "message", "hint"),
    [
        (["softmax"], {}, "needs two sides", "vitbench compare softmax relu"),
        (["softmax", "relu"], {"targets": ()}, "no target named", "--target"),
        (["softmax", "rleu"], {}, "unknown attention kind or token mixer 'rleu'", "did you mean `relu`"),
        (["kind:softmx", "relu"], {}, "token mixer 'softmx'", "did you mean `softmax`"),
        (["softmax", "effvit-b1"], {}, "effvit-b1 is a model", "effvit-b1+softmax"),
        (["kind:softmax", "model:effvit-b1"], {}, "effvit-b1 is a model", "effvit-b1+softmax"),
        (["pool", "relu"], {}, "cannot be compared with a token mixer", "token mixers pool, repmixer"),
        (["softmax", "relu"], {"tokens": ("197",)}, "197 tokens do not form a grid", "14x14"),
        (["softmax", "relu"], {"tokens": ("big",)}, "'big' is no grid of tokens", "HxW"),
        (["window-softmax", "relu"], {"tokens": ("37x37",)}, "37x37", "36 or 40"),
        (["softmax", "relu"], {"tokens": ("7x7",), "models": ("effvit-b1",)}, "--tokens", "drop one"),
        (["softmax", "relu"], {"resolutions": ("224",)}, "--resolution is of whole networks", "--model"),
        (["effvit-b1", "effvit-b2"], {"tokens": ("7x7",)}, "--tokens", "drop --tokens"),
        (["pool", "repmixer"], {"tokens": ("7x7",)}, "--tokens is of attention kinds", "--resolution"),
        (["softmax", "relu"], {"pairs": 3}, "pairs must be from 6 to 500", "the default is 10"),
        (["softmax", "relu"], {"pairs": 501}, "pairs must be from 6 to 500", "the default is 10"),
        (["softmax", "relu"], {"quick": True, "full": True}, "contradict", "drop one"),
        (["softmax", "relu"], {"precision": "fp16"}, "fp16 on cpu would mean nothing", "--precision"),
        (["softmax", "relu"], {"block": "8"}, "unknown model 'attention-8'", "attention-8x16"),
        (["effvit-b1", "none.onnx"], {}, "none.onnx", "check the path"),
        (["effvit-b1", "effvit-b2"], {"targets": ("nowhere",)}, "unknown target", "vitbench targets"),
    ],
)
def test_what_does_not_fit(names: list[str], asked: dict[str, Any], message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        study(*names, **asked)
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")


def test_kinds_are_compared_in_the_block_at_the_same_width_and_at_equal_macs() -> None:
    rows = study("softmax", "relu", tokens=("7x7", "14x14")).rows
    assert [(row.part, row.tokens) for row in rows] == [
        ("block", (7, 7)),
        ("matched", (7, 7)),
        ("block", (14, 14)),
        ("matched", (14, 14)),
    ]
    assert {row.labels for row in rows} == {("softmax", "relu")}
    assert all(row.choose for row in rows)
    names = [cell.workload.model.name for cell in rows[0].cells]
    assert names == ["attention-8x16+softmax", "attention-8x16"]
    matched = [cell.workload.model.hyper["dim"] for cell in rows[3].cells]
    assert matched[0] == 16 < matched[1]


def test_a_kind_against_itself_needs_no_matching() -> None:
    rows = study("relu", "relu", tokens=("7x7",)).rows
    assert [row.part for row in rows] == ["block"]


def test_default_quick_and_full_studies() -> None:
    default, quick, full = (
        study("softmax", "relu", **more) for more in ({}, {"quick": True}, {"full": True})
    )
    assert len({row.tokens for row in default.rows}) == 5
    assert {(row.plan.preset, row.plan.blocks) for row in default.rows} == {("study", 20)}
    assert len(quick.rows) < len(default.rows) < len(full.rows)
    assert {(row.plan.preset, row.plan.blocks) for row in quick.rows} == {("quick-pairs", 12)}
    assert {row.part for row in full.rows} == {"block", "matched", "network"}
    assert {row.plan.preset for row in full.rows if row.part == "network"} == {"pairs"}
    assert {row.part for row in default.rows} == {"block", "matched"}


def test_more_than_two_kinds_are_each_compared_with_the_first() -> None:
    rows = study("softmax", "relu", "sra-softmax", tokens=("14x14",)).rows
    assert [row.labels for row in rows if row.part == "block"] == [
        ("softmax", "relu"),
        ("softmax", "sra-softmax"),
    ]


def test_kinds_in_whole_networks() -> None:
    rows = study("softmax", "relu", models=("effvit-b1",), resolutions=("224", "512")).rows
    assert [(row.part, row.cells[0].workload.label) for row in rows] == [
        ("network", "effvit-b1+softmax:224x224"),
        ("network", "effvit-b1+softmax:512x512"),
    ]


def test_token_mixers_are_compared_in_metaformer() -> None:
    rows = study("pool", "repmixer", resolutions=("224",)).rows
    assert [cell.workload.model.name for cell in rows[0].cells] == [
        "metaformer-s12",
        "metaformer-s12+repmixer",
    ]


def test_models_as_they_are_named() -> None:
    (row,) = study("fastvit-sa12@train", "fastvit-sa12").rows
    assert row.labels == ("fastvit-sa12@train", "fastvit-sa12")
    assert (row.part, row.choose) == ("models", False)
    (other,) = study("effvit-b0", "model:effvit-b0:256").rows
    assert other.labels == ("effvit-b0:224x224", "effvit-b0:256x256")


def test_the_seed_is_of_the_weights_and_of_the_order() -> None:
    request = study("effvit-b0", "effvit-b1", seed=7)
    assert request.rows[0].plan.seed == request.choice.seed == 7
    assert {cell.workload.weights for cell in request.rows[0].cells} == {"seeded:7"}
