"""SAM's decoder against the original, and what the fixture does not see."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from tests.export.ort import open_model
from tests.support.fill import fixture_weights
from tests.support.models import relative_difference
from tests.support.references import DATA, checkpoint_entries, sampled
from vitbench import catalog, zoo
from vitbench.catalog import ModelSpec
from vitbench.catalog.specs import Form, InputSpec
from vitbench.counting import count_model, count_module, count_onnx
from vitbench.errors import UsageError
from vitbench.export.onnx import export_onnx
from vitbench.zoo.deploy import in_form, to_deploy
from vitbench.zoo.init import seed_weights
from vitbench.zoo.weights import load_reference_state_dict

FIXTURE: dict[str, Any] = json.loads((DATA / "parity" / "sam_l0_decoder.json").read_text())
BOX = torch.tensor([[10.0, 10.0, 500.0, 500.0]])


def spec_of(name: str = "sam-vit-b-decoder", **hyper: Any) -> ModelSpec:
    spec = catalog.resolve_model(name)
    return spec.model_copy(update={"hyper": spec.hyper | hyper})


def embedding(batch: int = 1) -> Tensor:
    """The fixture's input, which is that of seed 1; further images follow it."""
    values = np.random.RandomState(1).standard_normal((batch, 256, 64, 64))
    return torch.from_numpy(values.astype(np.float32))


@pytest.fixture(scope="module")
def seeded() -> nn.Module:
    module = zoo.create(spec_of())
    seed_weights(module, 0)
    return module


@pytest.mark.parametrize("multimask", [False, True])
def test_outputs_are_those_of_the_original(multimask: bool) -> None:
    module = zoo.create(spec_of("effvit-sam-l0-decoder", multimask=multimask))
    load_reference_state_dict(module, fixture_weights(module))
    wanted = FIXTURE["outputs"][2:] if multimask else FIXTURE["outputs"][:2]
    with torch.inference_mode():
        for form in (module, to_deploy(module)):
            for output, expected in zip(form(embedding(), BOX), wanted, strict=True):
                assert list(output.shape) == expected["shape"]
                assert expected["name"].startswith(module.output_names[output.dim() == 2])
                difference = np.abs(sampled(output) - np.array(expected["values"])).max()
                assert difference <= 1e-5 * expected["absmax"]


@pytest.mark.parametrize("variant", ["vit-b", "vit-l", "vit-h"])
def test_entries_are_those_of_the_official_checkpoint(variant: str) -> None:
    with torch.device("meta"):
        module = zoo.create(spec_of(f"sam-{variant}-decoder"))
    wanted = {
        key: entry
        for key, entry in checkpoint_entries(f"sam_{variant.replace('-', '_')}").items()
        if not key.startswith("image_encoder.")
    }
    entries = {
        key: (tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))
        for key, tensor in module.state_dict().items()
    }
    assert entries == wanted


def test_counts_are_those_of_the_reference_for_one_box() -> None:
    counts = count_model(spec_of())
    assert (counts.params, counts.params_deploy) == (4_064_560, 4_064_560)
    assert (counts.macs, counts.macs_attention) == (1_812_351_488, 45_138_944)
    # The places of the pixels are encoded once and for all.
    assert counts.macs - counts.macs_artifact == 64 * 64 * 2 * 128


def test_the_inference_form_computes_the_same_in_float64(seeded: nn.Module) -> None:
    module = to_deploy(seeded).double()
    module.prompt_encoder.image_places = None
    for one, other in zip(
        module(embedding().double(), BOX.double()),
        to_deploy(module)(embedding().double(), BOX.double()),
        strict=True,
    ):
        assert relative_difference(one, other) < 1e-12


@pytest.mark.parametrize("form", ["train", "deploy"])
def test_exported_graph_computes_the_same_and_has_the_same_counts(
    seeded: nn.Module, form: Form, tmp_path: Path
) -> None:
    running = in_form(seeded, form)
    inputs = tuple(
        InputSpec(name=each.name, shape=(1, *each.shape), values=each.values) for each in spec_of().inputs
    )
    path = tmp_path / "model.onnx"
    export_onnx(running, inputs, path)
    found = open_model(path).run(None, {"image_embeddings": embedding().numpy(), "boxes": BOX.numpy()})
    for values, output in zip(found, seeded(embedding(), BOX), strict=True):
        assert relative_difference(torch.from_numpy(values), output) < 1e-5
    counts, graph = count_module(running, inputs, folded=True), count_onnx(onnx.load(path))
    assert (graph.macs, graph.macs_attention) == (counts.macs, counts.macs_attention)
    assert graph.bytes_read == pytest.approx(counts.bytes_read, rel=0.05)
    assert graph.bytes_written == pytest.approx(counts.bytes_written, rel=0.05)


def test_each_image_has_its_own_box(seeded: nn.Module) -> None:
    images, boxes = embedding(2), torch.cat([BOX, torch.tensor([[300.0, 20.0, 900.0, 1000.0]])])
    both, second = seeded(images, boxes), seeded(images[1:], boxes[1:])
    for one, other in zip(both, second, strict=True):
        assert relative_difference(one[1:], other) < 1e-5
    for one, other in zip(second, seeded(images[1:], BOX), strict=True):
        assert relative_difference(one, other) > 0.01


@pytest.mark.parametrize(("name", "eps"), [("sam-vit-b-decoder", 1e-5), ("effvit-sam-l0-decoder", 1e-6)])
def test_epsilons_of_tokens_and_of_maps(name: str, eps: float) -> None:
    with torch.device("meta"):
        module = zoo.create(spec_of(name))
    norms = {key: part.eps for key, part in module.named_modules() if isinstance(part, nn.LayerNorm)}
    of_tokens = {value for key, value in norms.items() if "transformer" in key}
    of_maps = {value for key, value in norms.items() if "transformer" not in key}
    assert (of_tokens, of_maps) == ({eps}, {1e-6})


@pytest.mark.parametrize(
    ("update", "problem"),
    [
        ({"resolution": (512, 512)}, "pixels of 1024x1024 and nothing else"),
        ({"attention": "softmax"}, "differs from the decoder in nothing"),
        ({"upsample": "bilinear"}, "differs from the decoder in nothing"),
        ({"task": "sam"}, "no task 'sam'"),
        ({"hyper": {"norm_eps": 0}}, "norm_eps: input should be greater than 0"),
        ({"hyper": {}}, "norm_eps: field required"),
    ],
    ids=str,
)
def test_what_the_decoder_is_not_is_refused(update: dict[str, Any], problem: str) -> None:
    spec = catalog.resolve_model("effvit-sam-l0-decoder").model_copy(update=update)
    with pytest.raises(UsageError, match=problem):
        zoo.create(spec)
