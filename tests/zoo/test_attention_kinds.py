"""Softmax in windows and cascaded groups against their definitions, and every kind as a block alone."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.export.ort import run
from tests.support.models import KINDS, on_meta, relative_difference
from vitbench import catalog, zoo
from vitbench.counting import count_module, count_onnx
from vitbench.errors import UsageError
from vitbench.export.onnx import export_onnx
from vitbench.zoo.attention import SoftmaxAttention
from vitbench.zoo.attention_kinds import KINDS as BUILT_KINDS
from vitbench.zoo.attention_kinds import build_attention
from vitbench.zoo.deploy import to_deploy
from vitbench.zoo.init import seed_weights
from vitbench.zoo.window_attention import WindowSoftmaxAttention, window_of
from vitbench.zoo.windows import from_window_maps, to_window_maps

CHANNELS, DIM = 12, 6


def attention(kind: str, grid: tuple[int, int] | None = None) -> nn.Module:
    """One attention module with seeded weights, in float64."""
    module = build_attention(kind, CHANNELS, DIM, (5,), 16, norm_eps=1e-5, grid=grid)
    seed_weights(module, 0)
    return module.double().eval().requires_grad_(False)


def block(kind: str, grid: str, width: str = "2x6") -> nn.Module:
    """A block of the catalog in train form with seeded weights."""
    module = zoo.create(catalog.resolve_model(f"attention-{width}+{kind}:{grid}"))
    seed_weights(module, 0)
    return module


def features(height: int, width: int, batch: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randn((batch, CHANNELS, height, width), generator=generator, dtype=torch.float64)


def softmax_of_pixels(query: Tensor, key: Tensor, value: Tensor, keys: list[tuple[int, int]]) -> Tensor:
    """Output of one query (dim) over the keys and values, (dim, H, W), at these pixels."""
    products = [math.exp(float(query @ key[:, row, column]) / math.sqrt(len(query))) for row, column in keys]
    weighted = [weight * value[:, row, column] for weight, (row, column) in zip(products, keys, strict=True)]
    return torch.stack(weighted).sum(dim=0) / sum(products)


@pytest.mark.parametrize(("size", "window"), [((8, 10), (8, 5)), ((7, 12), (7, 6)), ((5, 4), (5, 4))])
def test_window_softmax_is_softmax_among_the_pixels_of_a_window(
    size: tuple[int, int], window: tuple[int, int]
) -> None:
    module, x = attention("window-softmax"), features(*size)
    qkv = module.qkv(x)
    joined = torch.cat([qkv, *(scale(qkv) for scale in module.aggreg)], dim=1)[0]
    expected = torch.empty(len(joined) // 3, *size, dtype=torch.float64)
    for head, group in enumerate(joined.split(3 * DIM)):
        query, key, value = group.split(DIM)
        for row in range(size[0]):
            for column in range(size[1]):
                top, left = row // window[0] * window[0], column // window[1] * window[1]
                keys = [(top + i, left + j) for i in range(window[0]) for j in range(window[1])]
                out = softmax_of_pixels(query[:, row, column], key, value, keys)
                expected[head * DIM : (head + 1) * DIM, row, column] = out
    for formulation in module.formulations:
        module.formulation = formulation
        assert relative_difference(module(x), module.proj(expected[None])) < 1e-12


def test_one_window_is_plain_softmax() -> None:
    windowed, plain = attention("window-softmax"), attention("softmax")
    plain.load_state_dict(windowed.state_dict())
    x = features(8, 7, batch=2)
    assert torch.equal(windowed(x), plain(x))
    assert isinstance(windowed, SoftmaxAttention)


def test_window_softmax_has_the_parameters_of_softmax() -> None:
    shapes = [
        {key: value.shape for key, value in on_meta(f"b1+{kind}").state_dict().items()}
        for kind in ("softmax", "window-softmax")
    ]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize(
    ("size", "window"),
    [
        ((7, 7), (7, 7)),
        ((14, 28), (7, 7)),
        ((32, 64), (8, 8)),
        ((20, 12), (5, 6)),
        ((4, 44), (4, 4)),
        ((56, 35), (8, 7)),
    ],
)
def test_windows_are_the_largest_divisors(size: tuple[int, int], window: tuple[int, int]) -> None:
    assert window_of(size) == window


@pytest.mark.parametrize(
    ("size", "hint"),
    [
        ((13, 14), "in place of a side of 13 take 12 or 14"),
        ((3, 3), "in place of a side of 3 take 4"),
        ((2, 22), "in place of a side of 2 take 4; in place of a side of 22 take 21 or 24"),
    ],
)
def test_a_map_without_windows_is_refused_with_the_nearest_sides(size: tuple[int, int], hint: str) -> None:
    with pytest.raises(UsageError, match=f"divide a map of {size[0]}x{size[1]}") as caught:
        attention("window-softmax", size)
    assert caught.value.hint == hint
    with pytest.raises(UsageError, match=f"divide a map of {size[0]}x{size[1]}"):
        attention("window-softmax")(features(*size))


def test_window_maps_are_cut_and_put_together() -> None:
    x = features(8, 12, batch=2)
    windows = to_window_maps(x, (4, 6))
    assert windows.shape == (8, CHANNELS, 4, 6)
    assert torch.equal(windows[5], x[1, :, :4, 6:])
    assert torch.equal(windows[6], x[1, :, 4:, :6])
    assert torch.equal(from_window_maps(windows, (8, 12)), x)


def test_cascaded_groups_are_heads_one_after_another_in_windows_of_seven() -> None:
    module, x = attention("cga"), features(9, 14)
    part = module.attn
    padded = nn.functional.pad(x, (0, 0, 0, 5))
    expected = torch.empty_like(padded)
    offsets = part.attention_biases.reshape(2, 7, 7)
    pixels = [(row, column) for row in range(7) for column in range(7)]
    for top in (0, 7):
        for left in (0, 7):
            window, before, outputs = padded[:, :, top : top + 7, left : left + 7], 0, []
            for head, share in enumerate(window.split(DIM, dim=1)):
                query, key, value = part.qkvs[head](share + before)[0].split(DIM)
                query = part.dws[head](query[None])[0]
                before = torch.empty(1, DIM, 7, 7, dtype=torch.float64)
                for row, column in pixels:
                    products = torch.stack(
                        [
                            query[:, row, column] @ key[:, i, j] / math.sqrt(DIM)
                            + offsets[head, abs(row - i), abs(column - j)]
                            for i, j in pixels
                        ]
                    )
                    before[0, :, row, column] = value.flatten(1) @ products.softmax(dim=0)
                outputs.append(before)
            expected[:, :, top : top + 7, left : left + 7] = part.proj(torch.cat(outputs, dim=1))
    assert relative_difference(module(x), expected[:, :, :9]) < 1e-12


@pytest.mark.parametrize(("grid", "side"), [(None, 7), ((14, 28), 7), ((5, 9), 5), ((1, 1), 1)])
def test_windows_of_cascaded_groups_are_no_larger_than_the_grid(
    grid: tuple[int, int] | None, side: int
) -> None:
    module = attention("cga", grid)
    assert module.side == side
    assert module.attn.attention_biases.shape == (2, side * side)
    assert {tuple(conv.c.weight.shape) for conv in module.attn.qkvs} == {(3 * DIM, DIM, 1, 1)}


def test_spatial_reduction_of_a_block_alone_is_by_two() -> None:
    module = block("sra-softmax", "7x10")
    assert module.attention.sr.kernel_size == module.attention.sr.stride == (2, 2)
    keys: list[Tensor] = []
    module.attention.kv.register_forward_hook(lambda part, inputs, out: keys.append(out))
    module(features(7, 10).float())
    assert keys[0].shape[2:] == (3, 5)
    with pytest.raises(UsageError, match="one of 1x10 is too small"):
        block("sra-softmax", "1x10")


def test_the_kinds_of_the_catalog_are_the_ones_that_are_built() -> None:
    families = catalog.load_families()
    for family in ("attention", "effvit"):
        assert set(families[family].attention) == set(BUILT_KINDS) == set(KINDS)
        assert families[family].attention[0] == "relu"


@pytest.mark.parametrize("grid", ["8x8", "5x12"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_block_is_the_same_function_in_every_form_and_formulation(kind: str, grid: str) -> None:
    module = block(kind, grid).double()
    x = features(*(int(side) for side in grid.split("x")), batch=2)
    expected = module(x)
    assert expected.shape == x.shape
    deployed = to_deploy(module)
    assert not any(isinstance(part, nn.BatchNorm2d) for part in deployed.modules())
    (part,) = zoo.formulated(deployed)
    for formulation in part.formulations:
        part.formulation = formulation
        assert relative_difference(deployed(x), expected) < 1e-9


@pytest.mark.parametrize("kind", KINDS)
def test_the_graph_of_a_block_is_the_same_function_and_both_counters_agree(kind: str, tmp_path: Path) -> None:
    module = to_deploy(block(kind, "8x15"))
    x, path = features(8, 15, batch=2).float(), tmp_path / "block.onnx"
    graph = count_onnx(export_onnx(module, tuple(x.shape), path))
    assert relative_difference(torch.from_numpy(run(path, x.numpy())), module(x)) < 1e-5
    counts = count_module(module, tuple(x.shape), folded=True)
    assert (graph.macs, graph.macs_attention) == (counts.macs, counts.macs_attention)
    assert graph.bytes_read == pytest.approx(counts.bytes_read, rel=0.05)
    assert graph.bytes_written == pytest.approx(counts.bytes_written, rel=0.05)


@pytest.mark.parametrize("kind", KINDS)
def test_seeded_weights_of_a_block_do_not_blow_rounding_up(kind: str) -> None:
    module, x = block(kind, "8x8"), features(8, 8)
    single = module(x.float()).double()
    assert 0.05 < float(single.std()) < 5
    assert relative_difference(single, module.double()(x)) < 1e-5


@pytest.mark.parametrize("kind", ["window-softmax", "cga"])
def test_the_new_kinds_fit_a_whole_network(kind: str) -> None:
    parts = [type(part) for part in on_meta(f"b1+{kind}").modules()]
    kinds = {part.kind for part in zoo.formulated(on_meta(f"b1-cityscapes+{kind}")) if part.kind in KINDS}
    assert kinds == {kind}
    assert (WindowSoftmaxAttention in parts) == (kind == "window-softmax")


def test_hyper_parameters_of_a_block_that_do_not_fit_are_refused() -> None:
    spec = catalog.resolve_model("attention-2x6")
    with pytest.raises(UsageError, match="has no attention kind"):
        zoo.create(spec.model_copy(update={"attention": None}))
    with pytest.raises(UsageError, match="dim: field required"):
        zoo.create(spec.model_copy(update={"hyper": {"heads": 2, "scales": [5], "stride": 16}}))
