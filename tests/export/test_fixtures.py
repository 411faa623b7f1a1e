"""Exported graphs against the outputs of the original networks."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.export.ort import run
from tests.support.fill import fixture_input, fixture_weights
from tests.support.references import sampled
from vitbench import catalog, zoo
from vitbench.export.onnx import export_onnx
from vitbench.zoo.deploy import to_deploy
from vitbench.zoo.weights import load_reference_state_dict

FIXTURES = sorted((Path(__file__).parents[1] / "data" / "parity").glob("mit_cls_*.json"))
TOLERANCE = 1e-4


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_the_exported_graph_reproduces_the_original_network(path: Path, tmp_path: Path) -> None:
    fixture = json.loads(path.read_text())
    shape, expected = tuple(fixture["input_shape"]), fixture["outputs"][0]
    network = zoo.create(catalog.resolve_model(fixture["model"], resolution=shape[2:]))
    load_reference_state_dict(network, fixture_weights(network))
    export_onnx(to_deploy(network), shape, tmp_path / "model.onnx")
    got = sampled(torch.from_numpy(run(tmp_path / "model.onnx", fixture_input(shape).numpy())))
    difference = np.abs(got - np.array(expected["values"])).max() / expected["absmax"]
    assert difference <= TOLERANCE


def test_there_are_fixtures_of_both_designs() -> None:
    assert {path.stem for path in FIXTURES} >= {"mit_cls_b0_224", "mit_cls_b1_224", "mit_cls_l1_224"}
