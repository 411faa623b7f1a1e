"""The attention kinds against their definitions, in every formulation, and at a zero normaliser."""

import math

import pytest
import torch
from torch import Tensor, nn

from tests.support.exported import dynamo_export, run_onnx
from tests.support.models import KINDS, images, on_meta, relative_difference, seeded
from vitbench import zoo
from vitbench.errors import UsageError
from vitbench.zoo.attention import Attention, ReluAttention
from vitbench.zoo.attention_kinds import build_attention
from vitbench.zoo.deploy import to_deploy
from vitbench.zoo.init import seed_weights

CHANNELS, DIM = 32, 16
RELU_FORMULATIONS = ReluAttention.formulations


def attention(kind: str, *, stride: int = 16) -> Attention:
    """One attention module with seeded weights."""
    module = build_attention(kind, CHANNELS, DIM, (5,), stride, norm_eps=1e-5)
    seed_weights(module, 0)
    return module.eval().requires_grad_(False)


def features(height: int, width: int, batch: int = 1) -> Tensor:
    return torch.randn((batch, CHANNELS, height, width), generator=torch.Generator().manual_seed(3))


def heads_by_hand(module: Attention, x: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Query, key and value of every head of one image, each (pixels, dim), from the channel layout."""
    qkv = module.qkv(x)
    groups = torch.cat([qkv, *(scale(qkv) for scale in module.aggreg)], dim=1)[0].flatten(1)
    return [tuple(head.split(DIM)) for head in groups.split(3 * DIM)]


def weights_by_hand(kind: str, query: Tensor, key: Tensor) -> Tensor:
    """(queries, keys) weights of one head; query and key are (dim, pixels)."""
    if kind.startswith("relu"):
        similarity = query.clamp(min=0).T @ key.clamp(min=0)
        return similarity / (similarity.sum(dim=1, keepdim=True) + 1e-15)
    return torch.softmax(query.T @ key / math.sqrt(DIM), dim=1)


@pytest.mark.parametrize("size", [(6, 8), (4, 4)], ids=["more pixels than dim", "as many pixels as dim"])
@pytest.mark.parametrize("kind", ["relu", "relu-single", "softmax"])
def test_every_formulation_is_the_definition(kind: str, size: tuple[int, int]) -> None:
    module, x = attention(kind).double(), features(*size).double()
    heads = [
        (weights_by_hand(kind, query, key) @ value.T).T for query, key, value in heads_by_hand(module, x)
    ]
    expected = module.proj(torch.cat(heads).reshape(1, -1, *size))
    for formulation in module.formulations:
        module.formulation = formulation
        assert relative_difference(module(x), expected) < 1e-12


@pytest.mark.parametrize(("stride", "keys"), [(16, 12), (32, 48)])
def test_spatial_reduction_is_the_definition(stride: int, keys: int) -> None:
    module, x = attention("sra-softmax", stride=stride).double(), features(6, 8).double()
    coarse = x
    if stride == 16:
        reduced = nn.functional.conv2d(x, module.sr.weight, module.sr.bias, stride=2)
        centred = reduced - reduced.mean(dim=1, keepdim=True)
        scaled = centred / (centred.square().mean(dim=1, keepdim=True) + 1e-5).sqrt()
        coarse = scaled * module.norm.weight.view(1, -1, 1, 1) + module.norm.bias.view(1, -1, 1, 1)
    query = module.q(x)[0].flatten(1)
    key, value = module.kv(coarse)[0].flatten(1).chunk(2)
    assert key.shape[1] == keys
    heads = [
        (weights_by_hand("softmax", query[head], key[head]) @ value[head].T).T
        for head in (slice(start, start + DIM) for start in range(0, CHANNELS, DIM))
    ]
    expected = module.proj(torch.cat(heads).reshape(1, -1, 6, 8))
    for formulation in module.formulations:
        module.formulation = formulation
        assert relative_difference(module(x), expected) < 1e-12


@pytest.mark.parametrize("kind", KINDS)
def test_formulations_agree_in_float32_on_a_batch(kind: str) -> None:
    module, x = attention(kind), features(10, 12, batch=3)
    reference = module(x)
    (part,) = zoo.formulated(module)
    for formulation in part.formulations[1:]:
        part.formulation = formulation
        assert relative_difference(module(x), reference) < 1e-5


def test_softmax_has_the_parameters_of_relu() -> None:
    relu, softmax = (on_meta(name).state_dict() for name in ("b1", "b1+softmax"))
    assert {key: tensor.shape for key, tensor in relu.items()} == {
        key: tensor.shape for key, tensor in softmax.items()
    }


def test_single_scale_lacks_the_aggregation_and_its_half_of_the_projection() -> None:
    full, single = (on_meta(name).state_dict() for name in ("b1", "b1+relu-single"))
    assert set(full) - set(single) == {key for key in full if ".aggreg." in key}
    halved = {key for key in single if single[key].shape != full[key].shape}
    assert halved == {key for key in full if key.endswith("main.proj.conv.weight")}
    assert all(2 * single[key].shape[1] == full[key].shape[1] for key in halved)


def test_kinds_are_different_functions() -> None:
    outputs = [seeded(f"b0+{kind}")(images(192)) for kind in KINDS]
    for i, first in enumerate(outputs):
        for second in outputs[i + 1 :]:
            assert relative_difference(first, second) > 1e-2


@pytest.mark.parametrize("size", [(6, 8), (4, 4)])
def test_normaliser_is_the_denominator(size: tuple[int, int]) -> None:
    module, x = attention("relu"), features(*size)
    expected = torch.stack(
        [(query.clamp(min=0).T @ key.clamp(min=0)).sum(dim=1) for query, key, _ in heads_by_hand(module, x)]
    )
    assert relative_difference(module.normaliser(x)[0], expected) < 1e-6


@pytest.mark.parametrize("kind", ["softmax", "sra-softmax", "window-softmax", "cga"])
def test_kinds_without_a_vanishing_denominator_have_no_normaliser(kind: str) -> None:
    assert not hasattr(attention(kind), "normaliser")


def silence_a_pixel(module: Attention, x: Tensor) -> None:
    """Change the weights so that no query of one head is positive at any pixel of `x`."""
    module.qkv.conv.weight[:DIM] = 0


@pytest.mark.parametrize("optimize", [False, True])
@pytest.mark.parametrize("formulation", [*RELU_FORMULATIONS, "quadratic"])
def test_a_zero_normaliser_stays_finite_and_equal_in_every_export(formulation: str, optimize: bool) -> None:
    module = attention("relu")
    size = (4, 4) if formulation == "quadratic" else (6, 8)
    if formulation != "quadratic":
        module.formulation = formulation
    x = features(*size)
    silence_a_pixel(module, x)
    assert (module.normaliser(x)[0, 0] == 0).all()
    assert (module.normaliser(x)[0, 1] > 0).all()
    expected = module(x)
    assert expected.isfinite().all()
    exported = run_onnx(dynamo_export(module, tuple(x.shape), optimize=optimize), x)
    assert exported.isfinite().all()
    assert relative_difference(exported, expected) < 1e-5


@pytest.mark.parametrize("form", ["train", "deploy"])
def test_a_black_feature_map_stays_finite(form: str) -> None:
    module: nn.Module = attention("relu")
    if form == "deploy":
        module = to_deploy(module)
    x = torch.zeros(1, CHANNELS, 6, 8)
    assert (module.normaliser(x) == 0).all()
    assert module(x).isfinite().all()


def test_the_guard_is_the_originals_addition_wherever_anything_is_left() -> None:
    denominator = torch.logspace(-7, 6, 1000)
    assert torch.equal(denominator.clamp(min=ReluAttention.eps), denominator + ReluAttention.eps)


def test_half_precision_input_is_summed_in_float32() -> None:
    module, x = attention("relu").half(), 60 * features(40, 40).half()
    output = module(x)
    assert output.dtype == torch.float16
    assert output.isfinite().all()
    assert relative_difference(output.float(), module.float()(x.float())) < 2e-2


def test_unknown_formulations_and_kinds_are_refused() -> None:
    module = on_meta("b0")
    with pytest.raises(UsageError, match="'relu' has no formulation 'magic'") as caught:
        zoo.set_formulation(module, {"relu": "magic"})
    assert caught.value.hint == "choose one of ones-pad, ones-concat, key-sum"
    with pytest.raises(UsageError, match="nothing of kind softmax"):
        zoo.set_formulation(module, {"softmax": "fused"})
    with pytest.raises(UsageError, match="unknown attention kind 'tanh'"):
        attention("tanh")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dim", [24, 64])
def test_heads_that_do_not_divide_the_width_are_refused(kind: str, dim: int) -> None:
    with pytest.raises(UsageError, match=f"dim {dim} do not divide a stage of width {CHANNELS}"):
        build_attention(kind, CHANNELS, dim, (5,), 16, norm_eps=1e-5)
