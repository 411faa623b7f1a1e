from pathlib import Path

import pytest

from vitbench import catalog
from vitbench.catalog.files import builtin_directory, read_spec
from vitbench.catalog.specs import FamilySpec, TargetSpec
from vitbench.errors import UsageError

TARGET = """
name = "bench"
title = "a target of the user's"
transport = "local"
runtime = "onnxruntime"
threads = 2
"""


def hint_of(error: pytest.ExceptionInfo[UsageError]) -> str:
    assert error.value.hint is not None
    return error.value.hint


def test_every_builtin_file_is_valid() -> None:
    families, targets = catalog.load_families(), catalog.load_targets()
    assert {"b0", "b1", "b2", "b3", "l1", "l2", "l3", "l0-backbone"} <= set(families["effvit"].variants)
    assert {"cpu", "sim"} <= set(targets)


def test_published_figures_carry_their_source() -> None:
    family = catalog.load_families()["effvit"]
    figures = [
        figure
        for variant in family.variants.values()
        if variant.task in ("cls", "backbone")
        for figure in variant.published
    ]
    assert len(figures) == 81
    assert all(family.sources[figure.source] for figure in figures)
    contested = [f for f in figures if f.source == "user-report-52"]
    assert {f.latency_ms for f in contested} == {15.84, 44.3}


def test_name_is_canonical() -> None:
    assert catalog.resolve_model("effvit-b2+relu").name == "effvit-b2"
    assert catalog.resolve_model("effvit-b2", attention="softmax").name == "effvit-b2+softmax"
    assert catalog.resolve_model("effvit-b2+softmax@train").name == "effvit-b2+softmax@train"


def test_a_family_of_one_network_needs_no_variant() -> None:
    spec = catalog.resolve_model("restormer@train:160x240")
    assert (spec.variant, spec.name, spec.resolution) == ("default", "restormer@train", (160, 240))
    assert catalog.resolve_model("restormer-default").name == "restormer"
    assert "restormer" in catalog.model_names()


def test_ways_of_upsampling() -> None:
    published = catalog.resolve_model("effvit-b1-cityscapes")
    assert (published.upsample, published.as_published) == ("bicubic", True)
    spec = catalog.resolve_model("effvit-b1-cityscapes+bilinear+softmax")
    assert spec.name == "effvit-b1-cityscapes+softmax+bilinear"
    assert not spec.as_published
    assert catalog.resolve_model("effvit-b1-cityscapes+softmax", upsample="bilinear") == spec
    assert catalog.resolve_model("effvit-sam-l0", upsample="bilinear").name == "effvit-sam-l0+bilinear"
    assert catalog.resolve_model("effvit-b1").upsample is None
    with pytest.raises(UsageError, match=r"\(task cls\) has no way of upsampling"):
        catalog.resolve_model("effvit-b1", upsample="bilinear")
    with pytest.raises(UsageError, match="has no way of upsampling"):
        catalog.resolve_model("restormer", upsample="bilinear")
    with pytest.raises(UsageError, match="unknown way of upsampling of effvit 'bilinaer'") as caught:
        catalog.resolve_model("effvit-b1-cityscapes", upsample="bilinaer")
    assert "did you mean `bilinear`" in hint_of(caught)


def test_parts() -> None:
    for name, part, expected in [
        ("effvit-sam-l0", "decoder", "effvit-sam-l0-decoder"),
        ("effvit-sam-l0-decoder", "decoder", "effvit-sam-l0-decoder"),
        ("effvit-sam-l0", "encoder", "effvit-sam-l0"),
        ("sam-vit-b", "encoder", "sam-vit-b"),
        ("effvit-b1", "backbone", "effvit-b1-backbone"),
    ]:
        assert catalog.resolve_model(name, part=part).name == expected
    spec = catalog.resolve_model("effvit-sam-l0", part="decoder")
    assert (spec.attention, spec.upsample, spec.builder) == (None, None, "sam-decoder")
    assert len(spec.inputs) == 2
    assert catalog.parts_of(spec) == ["decoder", "encoder"]
    for name, hint in [("effvit-b1", "its parts are backbone"), ("restormer", "only be had as a whole")]:
        with pytest.raises(UsageError, match=f"{name} has no part 'decoder'") as caught:
            catalog.resolve_model(name, part="decoder")
        assert hint in hint_of(caught)


def test_a_variant_may_override_its_family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models").mkdir()
    source = (builtin_directory("models") / "restormer.toml").read_text()
    path = tmp_path / "models" / "mine.toml"
    path.write_text(source.replace("stride = ", "stride = 1"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="defines 'restormer', which"):
        catalog.load_families()
    path.write_text("override = true\n" + source.replace("stride = ", "stride = 1"))
    monkeypatch.chdir(tmp_path / "models")
    (tmp_path / "models" / "models").mkdir()
    (tmp_path / "models" / "models" / "mine.toml").write_text(path.read_text())
    assert catalog.load_families()["restormer"].stride > 10


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("[variants.default]", "[variants.Default]"), "variants.Default.*: string should match pattern"),
        (('family = "restormer"', 'family = "timm"'), "family 'timm' would be taken for a source"),
        (('family = "restormer"', 'family = "Restormer"'), "family: string should match pattern"),
        (("stride = ", 'forms = ["merged"]\nstride = '), "forms.0: input should be 'deploy'"),
        (
            ("stride = ", 'attention = ["a"]\nupsample = ["a"]\nstride = '),
            "a is both an attention kind and a way of upsampling",
        ),
    ],
)
def test_malformed_family_names_file_and_field(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    source = (builtin_directory("models") / "restormer.toml").read_text()
    lines = [line for line in source.splitlines() if not line.startswith(("forms", "attention"))]
    path = tmp_path / "bad.toml"
    path.write_text("\n".join(lines).replace(*change))
    with pytest.raises(UsageError, match=message) as caught:
        read_spec(path, FamilySpec)
    assert str(path) in caught.value.message


def test_reference_counts_are_of_models_of_the_catalog() -> None:
    names = set(catalog.model_names())
    assert {model for model, _ in catalog.reference_counts()} <= names
    counts = catalog.reference_of(catalog.resolve_model("effvit-b1@train:256"))
    assert counts is not None
    assert counts["macs"] == 676915712
    assert "params_reparam" not in counts
    assert catalog.reference_of(catalog.resolve_model("effvit-b1+softmax")) is None
    assert catalog.reference_of(catalog.resolve_model("effvit-b1:320")) is None


def test_option_and_suffix_may_agree_but_not_contradict() -> None:
    assert catalog.resolve_model("effvit-b2:256", resolution=(256, 256)).resolution == (256, 256)
    for name, options in [
        ("effvit-b2:256", {"resolution": (224, 224)}),
        ("effvit-b2+softmax", {"attention": "relu"}),
        ("effvit-b1-cityscapes+bilinear", {"upsample": "bicubic"}),
        ("effvit-sam-l0-decoder", {"part": "encoder"}),
    ]:
        with pytest.raises(UsageError, match="contradicts the name"):
            catalog.resolve_model(name, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("effvit-b9", "unknown model 'effvit-b9'", "did you mean `effvit-b"),
        ("efvit-b2", "unknown model 'efvit-b2'", "did you mean `effvit-b2`"),
        ("effvit-b2+sofmax", "unknown kind of effvit 'sofmax'", "did you mean `softmax`"),
        ("effvit-b2+bilinear", "task cls. has no way of upsampling, so 'bilinear'", "drop --upsample"),
        ("effvit-b2-backbone+bilinear", "task backbone. has no way of upsampling", "drop --upsample"),
        ("effvit-sam-l0-decoder+softmax", "task decoder. has no attention kind", "drop --attention"),
        ("effvit-b1-cityscapes+softmax+relu", "two kinds that exclude each other", "drop"),
        ("effvit", "unknown model 'effvit'", "vitbench models"),
        ("restormer-default-x", "unknown model 'restormer-default-x'", "did you mean `restormer`"),
        ("effvit-b2@trian", "unknown form of effvit 'trian'", "did you mean `train`"),
        ("effvit-b2:100", "not a multiple of its stride 32", "the nearest is 96x96"),
        ("effvit-b2:224x230", "not a multiple of its stride 32", "the nearest is 224x224"),
    ],
)
def test_unknown_and_unusable_names(name: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        catalog.resolve_model(name)
    assert hint in hint_of(caught)


def test_unknown_target_gets_a_did_you_mean() -> None:
    with pytest.raises(UsageError, match="unknown target 'cpuu'") as caught:
        catalog.resolve_target("cpuu")
    assert "did you mean `cpu`" in hint_of(caught)


def test_target_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "bench.toml"
    path.write_text(TARGET)
    assert catalog.resolve_target(str(path)).threads == 2


def test_target_file_must_not_take_a_name_silently(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(TARGET.replace('"bench"', '"cpu"'))
    with pytest.raises(UsageError, match="defines target 'cpu', and there is another one"):
        catalog.resolve_target(str(path))
    path.write_text(TARGET.replace('"bench"', '"cpu"') + "override = true\n")
    assert catalog.resolve_target(str(path)).threads == 2
    assert catalog.resolve_target(str(builtin_directory("targets") / "cpu.toml")).name == "cpu"


def test_working_directory_extends_the_builtin_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "targets").mkdir()
    (tmp_path / "targets" / "bench.toml").write_text(TARGET)
    monkeypatch.chdir(tmp_path)
    assert set(catalog.load_targets()) >= {"bench", "cpu", "sim"}


def test_same_file_twice_is_one_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "targets").symlink_to(builtin_directory("targets"))
    monkeypatch.chdir(tmp_path)
    assert "cpu" in catalog.load_targets()


def test_another_checkout_with_the_same_files_is_no_conflict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "targets").mkdir()
    (tmp_path / "targets" / "cpu.toml").write_text((builtin_directory("targets") / "cpu.toml").read_text())
    monkeypatch.chdir(tmp_path)
    assert "cpu" in catalog.load_targets()


def test_a_taken_name_needs_override(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "targets").mkdir()
    path = tmp_path / "targets" / "mine.toml"
    path.write_text(TARGET.replace('"bench"', '"cpu"'))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="defines 'cpu'") as caught:
        catalog.load_targets()
    assert "override = true" in hint_of(caught)
    other = tmp_path / "second"
    (other / "targets").mkdir(parents=True)
    (other / "targets" / "mine.toml").write_text(TARGET.replace('"bench"', '"cpu"') + "override = true\n")
    monkeypatch.chdir(other)
    assert catalog.resolve_target("cpu").threads == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = \n", "not valid TOML: .*line 1"),
        (TARGET.replace("threads = 2", "threads = 0"), "threads: input should be greater than 0"),
        (TARGET.replace('"local"', "7"), "transport: input should be a valid string"),
        (TARGET.replace('title = "a target of the user\'s"', ""), "title: field required"),
        (TARGET.replace('"local"', '"sim"'), "a scripted target has transport"),
        (TARGET.replace('"onnxruntime"', '"sim"'), "a scripted target has transport"),
        (TARGET + "[sim]\nlatency_ms = 1.0\n", "a scripted target has transport"),
        (TARGET + "colour = 1\n", "colour: extra inputs are not permitted"),
    ],
)
def test_malformed_target_names_file_and_field(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=message) as caught:
        read_spec(path, TargetSpec)
    assert str(path) in caught.value.message


def test_published_figure_of_an_unknown_source_is_refused(tmp_path: Path) -> None:
    source = (builtin_directory("models") / "effvit.toml").read_text()
    path = tmp_path / "effvit.toml"
    path.write_text(source.replace('source = "user-report-52"', 'source = "hearsay"'))
    with pytest.raises(UsageError, match="names source 'hearsay'"):
        read_spec(path, FamilySpec)


def test_unreadable_and_binary_files(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        read_spec(tmp_path / "absent.toml", TargetSpec)
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="not UTF-8"):
        read_spec(binary, TargetSpec)
