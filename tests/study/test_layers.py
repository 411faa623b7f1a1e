"""Which layers are attention: the names that ONNX Runtime gives them lead back to the network's modules."""

from __future__ import annotations

import pytest

from vitbench import catalog
from vitbench.study.layers import GraphModules, attention_modules, place_of

GRAPH = GraphModules(
    nodes={
        "attention.qkv.conv/Conv": "attention.qkv.conv",
        "attention/MatMul": "attention",
        "attention/MatMul_2": "attention",
        "attention/Slice_3": "attention",
        "head.0/Gemm": "head.0",
        "/Split": "",
    },
    tensors={"conv2d": "attention.qkv.conv", "features": "attention.proj.conv"},
)


@pytest.mark.parametrize(
    ("layer", "module"),
    [
        ("attention/MatMul_2", "attention"),
        ("attention/MatMul/MatmulTransposeFusion//MatMulScaleFusion/", "attention"),
        ("attention/Slice_3/GatherSliceToSplitFusion", "attention"),
        ("fused head.0/Gemm", "head.0"),
        ("conv2d_nchwc", "attention.qkv.conv"),
        ("features_nchwc_token_12", "attention.proj.conv"),
        ("/Split", ""),
        ("ReorderInput", None),
        ("ReorderOutput_token_11", None),
        ("conv2d", None),
        ("conv2d_1_nchwc", None),
        ("attention/Softmax", None),
        ("", None),
    ],
)
def test_a_layer_leads_back_to_its_module(layer: str, module: str | None) -> None:
    assert GRAPH.module_of(layer) == module


@pytest.mark.parametrize(
    ("module", "place"),
    [
        ("stages.1.attn", "core"),
        ("stages.1.attn.qkv", "projections"),
        ("stages.1.attn2", "elsewhere"),
        ("stages.1", "elsewhere"),
        ("", "elsewhere"),
    ],
)
def test_a_module_is_attention_inside_of_it_or_neither(module: str, place: str) -> None:
    assert place_of(module, ("stages.1.attn",)) == place


@pytest.mark.parametrize(
    ("name", "modules"),
    [
        ("attention-8x16+softmax:7x7", 1),
        ("effvit-b1", 7),
        ("effvit-b1+softmax", 7),
        ("fastvit-sa12", 2),
        ("mobileone-s0", 0),
    ],
)
def test_attention_modules_of_a_network(name: str, modules: int) -> None:
    found = attention_modules(catalog.resolve_model(name))
    assert found is not None
    assert len(found) == modules
