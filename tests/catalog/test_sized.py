"""Variants that are named by numbers."""

from pathlib import Path

import pytest

from vitbench import catalog
from vitbench.catalog import ModelSpec
from vitbench.errors import UsageError


@pytest.mark.parametrize(
    ("name", "heads", "dim", "kind", "resolution"),
    [
        ("attention-8x16", 8, 16, "relu", (14, 14)),
        ("attention-8x16+softmax:28x28", 8, 16, "softmax", (28, 28)),
        ("attention-1x1:1x1", 1, 1, "relu", (1, 1)),
        ("attention-3x17+cga@train:32x64", 3, 17, "cga", (32, 64)),
        ("attention-16x32+window-softmax", 16, 32, "window-softmax", (14, 14)),
    ],
)
def test_numbers_are_the_heads_and_their_channels(
    name: str, heads: int, dim: int, kind: str, resolution: tuple[int, int]
) -> None:
    spec = catalog.resolve_model(name)
    assert (spec.hyper["heads"], spec.hyper["dim"]) == (heads, dim)
    assert (spec.attention, spec.resolution, spec.channels) == (kind, resolution, heads * dim)
    (given,) = spec.batched_inputs(2)
    assert (given.name, given.dtype, given.shape) == ("input", "float32", (2, heads * dim, *resolution))
    assert given.is_map


def test_the_canonical_name_comes_back() -> None:
    for name in ("attention-8x16", "attention-8x17+cga", "attention-2x64+window-softmax@train"):
        assert catalog.resolve_model(f"{name}:20x28").name == name
    assert catalog.resolve_model("attention-8x16+relu").name == "attention-8x16"


def test_the_family_alone_is_its_first_variant() -> None:
    assert catalog.resolve_model("attention") == catalog.resolve_model("attention-8x16")
    assert catalog.resolve_model("attention+cga:7").name == "attention-8x16+cga"


def test_the_list_has_the_listed_variant() -> None:
    assert [name for name in catalog.model_names() if name.startswith("attention")] == ["attention-8x16"]
    assert catalog.load_families()["attention"].attention[0] == "relu"


def test_options_say_the_same_as_the_name() -> None:
    spec = catalog.resolve_model("attention-8x16", attention="cga", resolution=(7, 7))
    assert spec == catalog.resolve_model("attention-8x16+cga:7x7")


@pytest.mark.parametrize(
    "name",
    [
        "attention-8",
        "attention-8x0",
        "attention-08x16",
        "attention-8x16x2",
        "attention-8x",
        "attention-axb",
        "attention-8x1234567",
        "effvit-8x16",
    ],
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match=f"unknown model '{name}'"):
        catalog.resolve_model(name)


def test_a_slip_finds_the_listed_variant() -> None:
    with pytest.raises(UsageError) as caught:
        catalog.resolve_model("attention-8")
    assert "did you mean `attention-8x16`?" in (caught.value.hint or "")
    with pytest.raises(UsageError, match="unknown kind of attention 'sofmax'") as caught:
        catalog.resolve_model("attention-8x16+sofmax")
    assert "`softmax`" in (caught.value.hint or "")


def test_other_options_mean_nothing() -> None:
    with pytest.raises(UsageError, match="has no way of upsampling"):
        catalog.resolve_model("attention-8x16", upsample="bilinear")
    with pytest.raises(UsageError, match="no part 'decoder'"):
        catalog.resolve_model("attention-8x16", part="decoder")


def test_what_was_published_of_a_variant_is_not_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "mine.toml").write_text(
        'family = "mine"\ntitle = "t"\nbuilder = "attention"\npaper = "p"\nlicence = "l"\nstride = 1\n'
        'sized_by = ["heads", "dim"]\nsources = { a = "b" }\n[variants.2x4]\ntask = "attention"\n'
        'resolution = [8, 8]\nhyper = { scales = [] }\npublished = [{ params_m = 1.0, source = "a" }]\n'
    )
    monkeypatch.chdir(tmp_path)
    _, listed = catalog.find_variant("mine", "2x4")
    _, other = catalog.find_variant("mine", "4x4")
    assert (len(listed.published), len(other.published)) == (1, 0)
    assert (listed.hyper, listed.channels) == ({"scales": [], "heads": 2, "dim": 4}, 8)


def test_images_have_three_channels_elsewhere() -> None:
    spec: ModelSpec = catalog.resolve_model("effvit-b0")
    assert spec.channels == 3
    assert spec.batched_inputs()[0].shape == (1, 3, 224, 224)
