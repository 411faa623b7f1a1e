"""Calibration: the noise that is there is found, and the gate that fits it is proposed."""

from __future__ import annotations

import json
import math
import random
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.gate.scripted import Scene, write_target
from tests.gate.test_gate import MODEL, Heard, save
from vitbench import transport
from vitbench.catalog.specs import TargetSpec
from vitbench.errors import MeasurementInvalid, TargetUnreachable, UsageError
from vitbench.gate.calibration import Noise, calibration
from vitbench.gate.config import Config, limits_of
from vitbench.gate.cost import CellCost, estimate, in_words
from vitbench.gate.save import requests_for_calibration, requests_of
from vitbench.measure import make_plan
from vitbench.pipeline.calibrate import calibrate
from vitbench.report.gate.calibration import as_json, as_text, tables
from vitbench.report.screen import Screen
from vitbench.report.sheet import SIMULATED
from vitbench.stats.gate import second_stage


def noise(pair_sd: float, count: int = 400, seed: int = 1) -> Noise:
    source = random.Random(seed)
    values = tuple(source.gauss(0, pair_sd) for _ in range(count))
    return Noise("effvit-b0:224x224 on cpu", "effvit-b0:224x224", "cpu", values, 0, 5.0, 100.0)


def test_proposals_follow_the_noise() -> None:
    quiet, loud = calibration([noise(0.005)]), calibration([noise(0.05)])
    assert quiet.cells[0].pairs == 10
    assert quiet.cells[0].limit == 0.03
    assert loud.cells[0].pairs == 40
    assert loud.cells[0].limit == pytest.approx(8 * 0.05 / math.sqrt(40), rel=0.1)
    assert quiet.cells[0].visible < loud.cells[0].visible
    assert quiet.cells[0].pass_chance > 0.999
    many = calibration([noise(0.01, seed=seed) for seed in range(30)])
    assert many.all_pass >= 0.98
    assert many.all_pass == pytest.approx(math.prod(each.pass_chance for each in many.cells))


def test_alike_pairs_are_told() -> None:
    source, value, values = random.Random(2), 0.0, []
    for _ in range(40):
        value = 0.9 * value + source.gauss(0, 0.01)
        values.append(value)
    drifting = Noise("a on cpu", "a", "cpu", tuple(values), 0, 5.0, 1.0)
    found = calibration([drifting])
    assert found.cells[0].alike
    assert found.cells[0].autocorrelation > 0.5
    assert "neighbouring pairs are alike" in as_text(found)
    assert abs(calibration([noise(0.01)]).cells[0].autocorrelation) < 0.15
    with pytest.raises(ValueError, match="nothing to calibrate"):
        calibration([])


def test_what_is_proposed_can_be_pasted() -> None:
    found = calibration([noise(0.05)])
    config = Config.model_validate(tomllib.loads("\n".join(tables(found))))
    limits = limits_of(config, "effvit-b0", (224, 224), "cpu", "local")
    assert limits.pairs == 40
    assert found.cells[0].limit <= limits.regression < found.cells[0].limit + 0.001
    document = json.loads(as_json(found))
    assert document["cells"][0]["noise"]["match"] == "effvit-b0:224x224"


def test_cells_that_a_table_cannot_tell_apart_share_one() -> None:
    """Batches of one network, say: the noisier one must fit as well, in whatever order they come."""
    for sds in ((0.05, 0.005), (0.005, 0.05)):
        found = calibration([noise(sd) for sd in sds])
        config = Config.model_validate(tomllib.loads("\n".join(tables(found))))
        assert len(config.cells) == 1
        limits = limits_of(config, "effvit-b0", (224, 224), "cpu", "local")
        assert limits.pairs == max(each.pairs for each in found.cells)
        assert limits.regression >= max(each.limit for each in found.cells)


def test_scripted_noise_is_called_that() -> None:
    scripted = replace(noise(0.01), simulated=True)
    assert SIMULATED in as_text(calibration([scripted]), Screen(width=200))
    assert SIMULATED not in as_text(calibration([noise(0.01)]), Screen(width=200))


def test_a_scripted_device_s_noise_is_found(scene: Scene, tmp_path: Path) -> None:
    """Noise between blocks of 1 % makes pairs of 1.4 %."""
    write_target(tmp_path, block_noise=0.01)
    requests = [request for _, _, request in requests_of([MODEL], ["board"], [])]
    found = calibrate(requests, "results", Heard(), pairs=40)
    assert found.cells[0].pair_sd == pytest.approx(0.01 * math.sqrt(2), rel=0.35)
    assert len(list((tmp_path / "results" / "gates").glob("*.json"))) == 1


def test_the_baseline_s_cells_are_calibrated_by_default(scene: Scene, tmp_path: Path) -> None:
    write_target(tmp_path)
    save((MODEL, "attention-8x16:8x8"))
    found = requests_for_calibration([], ["board"], [], baseline=None, results="results")
    assert [request.cells[0].label for request in found] == [
        "attention-8x16:4x4 on board",
        "attention-8x16:8x8 on board",
    ]
    with pytest.raises(UsageError, match="nothing to gate"):
        requests_for_calibration([], ["cpu"], [], baseline=None, results="results")


def test_the_baseline_of_gate_toml_is_calibrated(scene: Scene, tmp_path: Path) -> None:
    """The one that `vitbench gate` would take here."""
    write_target(tmp_path)
    save((MODEL,), name="nightly")
    (tmp_path / "gate.toml").write_text('[gate]\nbaseline = "nightly"\n')
    (found,) = requests_for_calibration([], [], [], baseline=None, results="results")
    assert found.cells[0].label == f"{MODEL} on board"


def test_options_that_would_have_no_say_are_refused(scene: Scene, tmp_path: Path) -> None:
    write_target(tmp_path)
    save()
    for asked, told in (
        ({"models": [MODEL], "baseline": "main"}, "--baseline main"),
        ({"resolutions": ["8"]}, "--resolution"),
        ({"threads": 2}, "--threads"),
    ):
        options: dict[str, Any] = {"models": [], "resolutions": [], "baseline": None, **asked}
        with pytest.raises(UsageError, match=told):
            requests_for_calibration(targets=["board"], results="results", **options)


def test_a_device_that_leaves_is_not_calibrated(scene: Scene, tmp_path: Path) -> None:
    write_target(tmp_path)
    scene.leaves_at = 9
    requests = [request for _, _, request in requests_of([MODEL], ["board"], [])]
    with pytest.raises(MeasurementInvalid, match="only 4 of 20 pairs"):
        calibrate(requests, "results", Heard())


def test_what_was_found_outlives_cells_that_fail(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("board", "gone"):
        write_target(tmp_path, name=name)
    original = transport.open

    def unreachable(target: TargetSpec) -> object:
        if target.name == "gone":
            raise TargetUnreachable("no route to gone")
        return original(target)

    monkeypatch.setattr(transport, "open", unreachable)
    requests = [request for _, _, request in requests_of([MODEL], ["gone", "board"], [])]
    heard = Heard()
    found = calibrate(requests, "results", heard, pairs=10)
    assert [each.noise.target for each in found.cells] == ["board"]
    assert found.exit_code == 4
    assert any("no route to gone" in note for note in heard.notes)
    assert found.cells[0].second_pairs == second_stage(2, 10)[0]
    assert "no proposal for attention-8x16:4x4 on gone: no route to gone" in as_text(found, Screen())
    (failure,) = json.loads(as_json(found))["failures"]
    assert failure["message"] == "no route to gone"
    with pytest.raises(TargetUnreachable):
        calibrate(requests[:1], "results", heard, pairs=10)


def test_ctrl_c_leaves_the_proposals_that_were_found(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_target(tmp_path)
    befall = scene.befall

    def interrupt(block: int) -> None:
        # A check and twenty blocks, then the check of the next cell.
        if len(scene.opened) > 22:
            raise KeyboardInterrupt
        befall(block)

    monkeypatch.setattr(scene, "befall", interrupt)
    requests = [request for _, _, request in requests_of([MODEL, "attention-8x16:8x8"], ["board"], [])]
    try:
        found = calibrate(requests, "results", Heard(), pairs=10)
    except KeyboardInterrupt:
        pytest.fail("the proposal is lost")
    assert (len(found.cells), found.interrupted, found.exit_code) == (1, True, 130)
    assert "interrupted: 1 of 2 cells have a proposal" in as_text(found)


def test_costs() -> None:
    plan = make_plan("pairs", blocks=20)
    one = estimate([CellCost(0.005, 0.1, 10, plan)])
    three = estimate([CellCost(0.005, 0.1, 10, plan)] * 3)
    assert three.usual_s == pytest.approx(3 * one.usual_s)
    assert one.usual_s < one.most_s
    # Twenty blocks of a start, a warm-up and half a second to two.
    assert 20 * 1.0 < one.usual_s < 20 * 4.7
    assert [in_words(seconds) for seconds in (0.2, 40, 89, 91, 3599, 4800)] == [
        *("1 s", "40 s", "89 s", "2 min", "1 h 00 min", "1 h 20 min"),
    ]


@pytest.mark.parametrize(
    ("iteration_s", "share"), [(0.0004, 5 / 50), (0.001, 5 / 20), (0.005, 5 / 20), (0.2, 1 / 3)]
)
def test_turns_cost_what_they_do_not_time(iteration_s: float, share: float) -> None:
    plan = make_plan("pairs", blocks=20)
    plain = estimate([CellCost(iteration_s, 0.1, 10, plan)])
    turns = estimate([CellCost(iteration_s, 0.1, 10, plan.model_copy(update={"turn_s": 0.02}))])
    cap_s = plan.slow_cap_s if iteration_s > plan.slow_iteration_s else plan.timed_cap_s
    # One pair of five may be replaced, in either stage.
    second = second_stage(1, 10)[0]
    blocks = 2 * (10 + 10 // 5 + second + second // 5)
    assert turns.most_s - plain.most_s == pytest.approx(blocks * share * cap_s)
    assert turns.usual_s > plain.usual_s


def test_a_proposal_fits_the_screen() -> None:
    drifting = Noise(
        "a" * 30 + " on cpu", "a", "cpu", tuple(0.001 * number for number in range(40)), 0, 5.0, 1.0
    )
    for line in as_text(calibration([noise(0.01), drifting]), Screen(width=80)).splitlines():
        assert len(line) <= 80
