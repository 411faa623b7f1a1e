"""SwinIR, Restormer, VapSR and BSRN: what holds for all of them."""

from pathlib import Path

import pytest
import torch

from tests.export.ort import run
from tests.support.models import relative_difference
from tests.support.restorers import SHORTER, images, seeded, spec_of
from vitbench import zoo
from vitbench.counting import count_module, count_onnx
from vitbench.export.onnx import export_onnx
from vitbench.zoo.deploy import to_deploy

SIZE = (32, 40)


@pytest.mark.parametrize("name", SHORTER)
def test_every_form_and_formulation_is_the_same_function(name: str) -> None:
    module = seeded(spec_of(name, SIZE, **SHORTER[name])).double()
    x = images(SIZE, batch=2).double()
    with torch.inference_mode():
        expected = module(x)
        deployed = to_deploy(module)
        assert relative_difference(deployed(x), expected) < 1e-9
        for part in zoo.formulated(deployed):
            for formulation in part.formulations:
                zoo.set_formulation(deployed, {part.kind: formulation})
                assert relative_difference(deployed(x), expected) < 1e-9


@pytest.mark.parametrize("name", SHORTER)
def test_outputs_have_the_scale_of_the_name_and_follow_the_input(name: str) -> None:
    module = seeded(spec_of(name, SIZE))
    x = images(SIZE, batch=2)
    factor = int(name[-1]) if name[-1].isdigit() else 1
    with torch.inference_mode():
        both, alone = module(x), module(x[1:])
    assert module.output_names == ("output",)
    assert both.shape == (2, 3, factor * SIZE[0], factor * SIZE[1])
    assert relative_difference(both[1:], alone) < 1e-5
    assert 0.3 < float(alone.std()) < 40
    assert float((both[0] - both[1]).std()) > 0.5 * float(both[0].std())


@pytest.mark.parametrize("name", SHORTER)
def test_outputs_are_no_chaos_of_rounding(name: str) -> None:
    module, x = seeded(spec_of(name, SIZE)), images(SIZE)
    with torch.inference_mode():
        single = module(x)
        assert relative_difference(single.double(), module.double()(x.double())) < 5e-6


@pytest.mark.parametrize("name", ["swinir-light-x2", "restormer", "vapsr-x4", "bsrn-x2", "bsrn-s-x4"])
def test_exported_graph_computes_and_counts_the_same(name: str, tmp_path: Path) -> None:
    deployed = to_deploy(seeded(spec_of(name, SIZE, **SHORTER[name])))
    graph = count_onnx(export_onnx(deployed, (1, 3, *SIZE), tmp_path / "model.onnx"))
    x = images(SIZE)
    with torch.inference_mode():
        expected = deployed(x)
    assert relative_difference(torch.from_numpy(run(tmp_path / "model.onnx", x.numpy())), expected) < 1e-5
    counts = count_module(deployed, (1, 3, *SIZE), folded=True)
    assert (graph.macs, graph.macs_attention) == (counts.macs, counts.macs_attention)
    assert graph.bytes_read == pytest.approx(counts.bytes_read, rel=0.05)
    assert graph.bytes_written == pytest.approx(counts.bytes_written, rel=0.05)
