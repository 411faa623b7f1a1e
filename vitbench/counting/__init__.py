"""Exact parameters, MACs and memory traffic, by two counters that must agree."""

from __future__ import annotations

from vitbench.counting.errors import UnsupportedOperators, told_to_users
from vitbench.counting.forms import FormCounts, count_forms
from vitbench.counting.graph import OnnxCounts, count_onnx
from vitbench.counting.model import ModelCounts, count_macs, count_model
from vitbench.counting.module import LayerCount, ModuleCounts, count_module

__all__ = [
    "FormCounts",
    "LayerCount",
    "ModelCounts",
    "ModuleCounts",
    "OnnxCounts",
    "UnsupportedOperators",
    "count_forms",
    "count_macs",
    "count_model",
    "count_module",
    "count_onnx",
    "told_to_users",
]
