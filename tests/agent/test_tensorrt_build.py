"""Engines: what decides them, how they are built by each version of TensorRT, and how they are kept."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.tensorrt_stand_in.toys import ISLANDS, TYPED, build_options, write_toy
from vitbench.agent.errors import AgentError
from vitbench.agent.tensorrt import store, versions
from vitbench.agent.tensorrt.build import build

Play = Callable[[str], Any]
WEAK = ("8.5.2.2", "8.6.1")
STRONG = ("10.3.0", "11.4.0")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_toy(tmp_path / "model")


@pytest.fixture
def engines(tmp_path: Path) -> Path:
    return tmp_path / "engines"


def ask(model: Path, engines: Path, **changed: Any) -> dict[str, Any]:
    return build({"model": str(model), "options": build_options(engines, **changed)})


def told(reply: dict[str, Any]) -> dict[str, Any]:
    """What the stand-in's builder was told, from the engine itself."""
    found: dict[str, Any] = json.loads(Path(reply["engine"]).read_bytes().split(b"\n")[1])
    return found


@pytest.mark.parametrize("version", WEAK)
def test_weak_types_are_bound_by_constraints(play: Play, model: Path, engines: Path, version: str) -> None:
    play(version)
    reply = ask(model, engines)
    built = told(reply)
    assert not built["strong"]
    assert built["flags"] == ["FP16", "OBEY_PRECISION_CONSTRAINTS"] == reply["flags"]
    # The cast into the island is found, and stays what it is.
    assert built["held"] == ["qk", "kv"]
    assert (reply["typing"], reply["held"], reply["layers"]) == ("weak", 2, 5)
    assert reply["tactic_sources"] == ["EDGE_MASK_CONVOLUTIONS", "JIT_CONVOLUTIONS"]


@pytest.mark.parametrize("version", STRONG)
def test_strong_types_need_no_constraints(play: Play, model: Path, engines: Path, version: str) -> None:
    play(version)
    reply = ask(model, engines)
    built = told(reply)
    assert built["strong"]
    assert built["flags"] == [] == reply["flags"]
    assert (reply["typing"], reply["held"]) == ("strong", 0)
    assert built["held"] == []
    assert reply["tactic_sources"] == ["EDGE_MASK_CONVOLUTIONS", "JIT_CONVOLUTIONS"]


@pytest.mark.parametrize("version", [*WEAK, *STRONG])
def test_every_setting_is_stated(play: Play, model: Path, engines: Path, version: str) -> None:
    play(version)
    reply = ask(model, engines, workspace_mb=100, avg_timing=4, optimization_level=5)
    built = told(reply)
    assert built["workspace"] == 100 << 20
    assert built["verbosity"] == "DETAILED"
    assert built["avg_timing"] == 4
    # There are no levels before 8.6.
    assert built["level"] == reply["optimization_level"] == (None if version.startswith("8.5") else 5)
    assert reply["version"] == version


@pytest.mark.parametrize("version", ["8.6.1", "10.3.0"])
def test_tf32_is_off_unless_it_is_asked_for(play: Play, model: Path, engines: Path, version: str) -> None:
    play(version)
    assert told(ask(model, engines, precision="fp32"))["flags"] == []
    assert told(ask(model, engines, precision="fp32", tf32=True))["flags"] == ["TF32"]


def test_an_fp32_graph_is_held_nowhere(play: Play, model: Path, engines: Path) -> None:
    play("8.6.1")
    assert ask(model, engines, precision="fp32", islands=[])["held"] == 0


def test_a_node_that_nothing_would_hold_is_an_error(play: Play, model: Path, engines: Path) -> None:
    play("8.6.1")
    with pytest.raises(AgentError, match=r"2 of 3 nodes that must stay in fp32 .* lost_a, lost_b$") as raised:
        ask(model, engines, islands=["qk", "lost_b", "lost_a"])
    assert raised.value.kind == "runtime"
    with pytest.raises(AgentError, match=r"6 of 6 .*: n0, n1, n2, n3, n4, \.\.\.$"):
        ask(model, engines, islands=[f"n{number}" for number in range(6)])


def test_what_the_parser_puts_between_is_held_as_well(play: Play, tmp_path: Path, engines: Path) -> None:
    play("8.6.1")
    between = [["ONNXTRT_Broadcast", "Reshape", ["FLOAT"]], ["ONNXTRT_Broadcast_7", "Reshape", ["HALF"]]]
    model = write_toy(tmp_path / "model", nodes=[*TYPED, *between])
    assert told(ask(model, engines))["held"] == ["qk", "kv", "ONNXTRT_Broadcast"]
    assert told(ask(model, engines, islands=[]))["held"] == []


def test_integers_of_an_island_stay_what_they_are(play: Play, tmp_path: Path, engines: Path) -> None:
    play("8.6.1")
    model = write_toy(tmp_path / "model", nodes=[*TYPED, ["which", "TopK", ["FLOAT", "INT32"]]])
    assert told(ask(model, engines, islands=[*ISLANDS, "which"]))["held"] == ["qk", "kv"]


@pytest.mark.parametrize(("version", "first"), [("8.6.1", "node 1"), ("10.3.0", "odd (Unheard)")])
def test_every_error_of_the_parser_is_told(
    play: Play, tmp_path: Path, engines: Path, version: str, first: str
) -> None:
    play(version)
    nodes = [["a", "Conv", ["HALF"]], ["odd", "Unheard", ["HALF"]], ["odder", "Unheard", ["HALF"]]]
    model = write_toy(tmp_path / "model", nodes=nodes)
    with pytest.raises(AgentError) as raised:
        ask(model, engines)
    message = raised.value.message
    assert f"refuses {model}: {first}: No importer registered for op: Unheard" in message
    assert message.count("No importer") == 2


def test_free_shapes_are_refused(play: Play, tmp_path: Path, engines: Path) -> None:
    play("10.3.0")
    model = write_toy(tmp_path / "model", shape=(-1, 4))
    with pytest.raises(AgentError, match=r"input 'x' has a free dimension \(\[-1, 4\]\)"):
        ask(model, engines)


def test_a_builder_that_gives_up_tells_why(
    play: Play, model: Path, engines: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    play("10.3.0")
    monkeypatch.setenv("VITBENCH_STAND_IN_FAILS", "build-refused")
    with pytest.raises(
        AgentError, match=r"10\.3\.0 cannot build an engine .* Could not find any implementation"
    ):
        ask(model, engines)
    said = capfd.readouterr().err
    assert "[TensorRT] Could not find any implementation" in said
    assert "this is for nobody" not in said
    assert list(engines.glob("*.engine")) == []


@pytest.mark.parametrize("version", ["8.4.1.5", "7.1.3", "8.2.1"])
def test_versions_without_tensors_by_name_are_refused(version: str) -> None:
    with pytest.raises(AgentError, match=r'older than 8\.5, .* runtime = "trtexec"') as raised:
        versions.parse(version)
    assert raised.value.kind == "usage"


def test_versions() -> None:
    assert versions.parse("8.5.2.2") == (8, 5)
    assert versions.parse("10.16.1.11") == (10, 16)
    with pytest.raises(AgentError, match="which is no version"):
        versions.parse("unknown")
    assert [versions.strongly_typed(numbers) for numbers in ((8, 6), (9, 1), (10, 0))] == [False, True, True]


def test_an_engine_is_built_once(play: Play, model: Path, engines: Path, gpu: Any) -> None:
    play("10.3.0")
    first = ask(model, engines)
    assert first["origin"] == "built"
    assert first["bytes"] == Path(first["engine"]).stat().st_size
    second = ask(model, engines)
    assert second["origin"] == "reused"
    assert {**second, "origin": "built"} == first
    assert gpu.live() == 0


@pytest.mark.parametrize(
    "changed",
    [
        {"precision": "fp32"},
        {"islands": ["qk"]},
        {"tf32": True},
        {"workspace_mb": 65},
        {"optimization_level": 2},
        {"avg_timing": 1},
        {"timing_cache": "off"},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_whatever_decides_an_engine_makes_another(
    play: Play, model: Path, engines: Path, changed: dict[str, Any]
) -> None:
    play("10.3.0")
    first = ask(model, engines)
    second = ask(model, engines, **changed)
    assert second["origin"] == "built"
    assert second["key"] != first["key"]


def test_another_graph_gpu_driver_or_version_makes_another(
    play: Play, model: Path, engines: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gpu_stand_in

    trt = play("10.3.0")
    keys = [ask(model, engines)["key"]]
    (model.parent / "model.onnx.data").write_bytes(b"weights")
    keys.append(ask(model, engines)["key"])
    monkeypatch.setattr(trt, "__version__", "10.7.0")
    keys.append(ask(model, engines)["key"])
    monkeypatch.setattr(gpu_stand_in, "ATTRIBUTES", {**gpu_stand_in.ATTRIBUTES, 16: 8})
    keys.append(ask(model, engines)["key"])
    assert len(set(keys)) == 4


def test_the_same_graph_elsewhere_is_the_same(play: Play, model: Path, tmp_path: Path, engines: Path) -> None:
    play("10.3.0")
    first = ask(model, engines)
    assert ask(write_toy(tmp_path / "copy"), engines)["key"] == first["key"]


@pytest.mark.parametrize("damage", ["cut", "altered", "undescribed", "nonsense"])
def test_a_damaged_engine_is_built_again(play: Play, model: Path, engines: Path, damage: str) -> None:
    play("10.3.0")
    first = ask(model, engines)
    engine = Path(first["engine"])
    content = engine.read_bytes()
    if damage == "cut":
        engine.write_bytes(content[:-1])
    elif damage == "altered":
        engine.write_bytes(content[:-1] + b"?")
    elif damage == "undescribed":
        engine.with_suffix(".json").unlink()
    else:
        engine.with_suffix(".json").write_text("[]")
    again = ask(model, engines)
    assert (again["origin"], again["key"]) == ("rebuilt", first["key"])
    assert ask(model, engines)["origin"] == "reused"


def test_an_engine_is_built_again_when_that_is_asked_for(play: Play, model: Path, engines: Path) -> None:
    play("10.3.0")
    assert ask(model, engines, rebuild=True)["origin"] == "built"
    again = ask(model, engines, rebuild=True)
    assert again["origin"] == "rebuilt"
    assert (told(again)["timing"], again["timings"]) == ("", "new"), "times of tactics are measured anew"
    assert told(ask(model, engines, workspace_mb=1))["timing"] == "+"
    pinned = ask(model, engines, rebuild=True, timing_cache="pin")
    assert (told(pinned)["timing"], pinned["timings"]) == ("++", "pinned")


def test_times_of_tactics_are_kept_pinned_or_not_used(play: Play, model: Path, engines: Path) -> None:
    play("10.3.0")
    with pytest.raises(AgentError, match=r'no timing cache to pin .*: build once with timing_cache = "keep"'):
        ask(model, engines, timing_cache="pin")
    assert ask(model, engines)["timings"] == "new"
    (cache,) = engines.glob("timing-*.cache")
    assert cache.read_bytes() == b"+"
    assert ask(model, engines, workspace_mb=1)["timings"] == "used"
    assert cache.read_bytes() == b"++"
    pinned = ask(model, engines, timing_cache="pin")
    assert (pinned["timings"], told(pinned)["timing"]) == ("pinned", "++")
    assert ask(model, engines, timing_cache="off")["timings"] == "off"
    assert cache.read_bytes() == b"++"
    cache.write_bytes(b"other times")
    assert ask(model, engines, timing_cache="pin")["key"] != pinned["key"]


@pytest.mark.parametrize("content", [b"foreign", b"damaged"])
def test_a_timing_cache_that_is_not_taken(play: Play, model: Path, engines: Path, content: bytes) -> None:
    play("10.3.0")
    ask(model, engines)
    (cache,) = engines.glob("timing-*.cache")
    cache.write_bytes(content)
    with pytest.raises(AgentError, match="refuses the timing cache"):
        ask(model, engines, timing_cache="pin")
    again = ask(model, engines, workspace_mb=1)
    assert (again["timings"], told(again)["timing"]) == ("new", "")
    assert cache.read_bytes() == b"+"


def test_old_engines_make_room(
    play: Play, model: Path, engines: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    play("10.3.0")
    replies = [ask(model, engines, workspace_mb=number) for number in (1, 2)]
    for age, reply in enumerate(replies):
        os.utime(reply["engine"], (age, age))
    assert ask(model, engines, workspace_mb=1)["origin"] == "reused"  # the most recently used one now
    monkeypatch.setattr(store, "MAX_BYTES", 5 * replies[0]["bytes"] // 2)
    third = ask(model, engines, workspace_mb=3)
    left = {path.name for path in engines.iterdir() if path.suffix in (".engine", ".json")}
    assert left == {
        f"{reply['key']}{suffix}" for reply in (replies[0], third) for suffix in (".engine", ".json")
    }
    monkeypatch.setattr(store, "MAX_BYTES", 1)
    assert Path(ask(model, engines, workspace_mb=4)["engine"]).is_file()


def test_nothing_is_left_of_an_engine_that_cannot_be_written(
    play: Play, model: Path, engines: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    play("10.3.0")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store.os, "fsync", full)
    with pytest.raises(AgentError, match=r"cannot keep engines in .*: No space left on device") as raised:
        ask(model, engines)
    assert raised.value.kind == "io"
    assert list(engines.iterdir()) == []


def test_engines_lie_in_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VITBENCH_CACHE", str(tmp_path))
    assert store.default_directory() == str(tmp_path / "engines")
    monkeypatch.delenv("VITBENCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert store.default_directory() == "/x/vitbench/engines"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/u")
    assert store.default_directory() == "/home/u/.cache/vitbench/engines"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"precision": "int8"}, "precision must be one of fp32, fp16, not 'int8'"),
        ({"islands": "qk"}, "islands must be a list of names"),
        ({"tf32": 1}, "tf32 must be a boolean, not 1"),
        ({"workspace_mb": 0}, "workspace_mb must be a positive integer, not 0"),
        ({"optimization_level": 6}, "optimization_level must be from 0 to 5, not 6"),
        ({"timing_cache": "maybe"}, "timing_cache must be one of keep, pin, off"),
        ({"device": -1}, "device must be the number of a GPU"),
        ({"directory": "here"}, "directory must be an absolute path"),
        ({"shapes": "x:1x3"}, "unknown options of a build: shapes"),
    ],
)
def test_options_that_make_no_sense(
    play: Play, model: Path, engines: Path, changed: dict[str, Any], words: str
) -> None:
    play("10.3.0")
    with pytest.raises(AgentError) as raised:
        ask(model, engines, **changed)
    assert raised.value.kind == "usage"
    assert words in raised.value.message


def test_a_model_that_is_not_there(play: Play, tmp_path: Path, engines: Path) -> None:
    play("10.3.0")
    with pytest.raises(AgentError, match="no model file"):
        ask(tmp_path / "none.onnx", engines)
