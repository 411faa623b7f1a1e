"""An exported network against the module it was made of."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.export.ort import run
from tests.support.models import relative_difference
from vitbench import zoo
from vitbench.catalog import ModelSpec
from vitbench.counting import count_module, count_onnx
from vitbench.export.onnx import export_onnx
from vitbench.zoo.deploy import to_deploy
from vitbench.zoo.init import seed_weights


def check_exported(spec: ModelSpec, path: Path) -> None:
    """Export a network's inference form: the graph computes the same within 1e-5, and counts the same.

    MACs agree exactly, bytes within 5 %.
    """
    (image,) = spec.batched_inputs()
    network = zoo.create(spec)
    seed_weights(network, 0)
    deployed = to_deploy(network)
    model = export_onnx(deployed, image.shape, path)
    x = torch.randn(image.shape, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = deployed(x)
    assert relative_difference(torch.from_numpy(run(path, x.numpy())), expected) < 1e-5
    counts, graph = count_module(deployed, image.shape, folded=True), count_onnx(model)
    assert (graph.macs, graph.macs_attention) == (counts.macs, counts.macs_attention)
    assert graph.bytes_read == pytest.approx(counts.bytes_read, rel=0.05)
    assert graph.bytes_written == pytest.approx(counts.bytes_written, rel=0.05)
