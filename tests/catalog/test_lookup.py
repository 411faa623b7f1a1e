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
    figures = [figure for variant in family.variants.values() for figure in variant.published]
    assert len(figures) == 81
    assert all(family.sources[figure.source] for figure in figures)
    contested = [f for f in figures if f.source == "user-report-52"]
    assert {f.latency_ms for f in contested} == {15.84, 44.3}


def test_name_is_canonical() -> None:
    assert catalog.resolve_model("effvit-b2+relu").name == "effvit-b2"
    assert catalog.resolve_model("effvit-b2", attention="softmax").name == "effvit-b2+softmax"
    assert catalog.resolve_model("effvit-b2+softmax@train").name == "effvit-b2+softmax@train"


def test_option_and_suffix_may_agree_but_not_contradict() -> None:
    assert catalog.resolve_model("effvit-b2:256", resolution=(256, 256)).resolution == (256, 256)
    for name, options in [
        ("effvit-b2:256", {"resolution": (224, 224)}),
        ("effvit-b2+softmax", {"attention": "relu"}),
    ]:
        with pytest.raises(UsageError, match="contradicts the name"):
            catalog.resolve_model(name, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("effvit-b9", "unknown model 'effvit-b9'", "did you mean `effvit-b"),
        ("efvit-b2", "unknown model 'efvit-b2'", "did you mean `effvit-b2`"),
        ("effvit-b2+sofmax", "unknown attention kind of effvit 'sofmax'", "did you mean `softmax`"),
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
