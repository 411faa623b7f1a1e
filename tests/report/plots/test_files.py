"""Plots as files: which there are, what they say, and that they are the same every time."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks.example_comparisons import example_comparison, example_study
from benchmarks.example_records import example_record
from vitbench.errors import UsageError
from vitbench.report.comparisons.rows import from_comparisons
from vitbench.report.plots import figure
from vitbench.report.plots.choose import plots_of, sample_plots
from vitbench.report.plots.figure import Plot, drawn, write_plots
from vitbench.report.plots.theme import DARK, LIGHT
from vitbench.report.rows import from_records

MODELS = (("effvit-b1", 9.0, 224), ("effvit-b2", 24.0, 224), ("fastvit-t8", 8.0, 256))


def words(plot: Plot) -> str:
    """All text of a plot, from its SVG."""
    root = ElementTree.fromstring(drawn(plot, LIGHT, ("svg",))["svg"])
    return "\n".join(root.itertext())


def runs() -> list[Plot]:
    records = [
        example_record(
            number,
            model=model,
            latency_ms=ms,
            iterations=5,
            resolution=(side, side),
        )
        for number, (model, ms, side) in enumerate(MODELS)
    ]
    return plots_of(from_records(records), [])


def test_rounds_of_requests_that_overlap_are_not_called_iterations() -> None:
    told = {"metric": "throughput", "streams": 2, "overlap": True}
    (plot,) = sample_plots([example_record(iterations=5, protocol=told)])
    text = words(plot)
    assert plot.title.startswith("Every round of 2 requests: effvit-b2")
    assert "ms a round of 2 requests" in text
    assert "each mark a round of 2 requests" in text
    assert "ms an iteration" not in text


def study(**changes: Any) -> list[Plot]:
    rows = [comparison.model_copy(update=changes) for comparison in example_study(3)]
    return plots_of([], from_comparisons(rows))


def named(plots: Sequence[Plot], start: str) -> Plot:
    return next(plot for plot in plots if plot.name.startswith(start))


def test_a_study_has_its_curves_and_its_roofline() -> None:
    assert [plot.name for plot in study()] == [
        *("latency-tokens-1-block", "latency-tokens-1-matched", "speed-up-1", "roofline-1")
    ]


@pytest.mark.parametrize("name", ["latency-tokens-1-block", "speed-up-1", "roofline-1"])
def test_a_plot_says_what_it_was_measured_with(name: str) -> None:
    text = words(named(study(), name))
    for said in (
        "AMD EPYC",
        "onnxruntime 1.31.1",
        "fp32",
        "1 thread",
        "10 pairs a row",
        "2026-11-21",
        "seed",
    ):
        assert said in text, said


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("latency-tokens-1-block", ("tokens", "latency ms", "softmax", "relu", "95 % intervals", "784")),
        ("speed-up-1", ("speed-up: time softmax / time relu", "same width", "matched MACs", "equally fast")),
        ("roofline-1", ("MACs per byte", "GMAC/s", "GB/s", "14x14", "no limits of the device")),
    ],
)
def test_axes_and_curves_are_labelled_with_units(name: str, labels: Sequence[str]) -> None:
    text = words(named(study(), name))
    for label in labels:
        assert label in text, label


def test_the_frontier_has_published_accuracy_and_measured_latency() -> None:
    text = words(named(runs(), "latency-accuracy"))
    for label in ("published top1", "latency ms", "effvit-b2", "fastvit-t8", "not beaten in both", "README"):
        assert label in text, label


def test_an_attention_that_was_not_published_has_no_accuracy() -> None:
    records = [example_record(number, model=f"effvit-b{number}+softmax") for number in (1, 2)]
    assert not [plot for plot in plots_of(from_records(records), []) if "accuracy" in plot.name]


def test_where_time_goes_is_drawn_where_anything_is_copied() -> None:
    parts = {"h2d_ms": 2.0, "d2h_ms": 1.0, "compute_ms": 23.0, "residual_ms": 1.43}
    copied = from_records([example_record(iterations=5, estimate=parts, protocol={"zero_copy": False})])
    text = words(named(plots_of(copied, []), "runs-parts"))
    for label in (
        "in: host to device",
        "compute",
        "out: device to host",
        "share of the latency, %",
        "27.4 ms",
    ):
        assert label in text, label
    assert not [plot for plot in runs() if "parts" in plot.name]


def test_single_iterations_are_drawn_block_by_block() -> None:
    comparison, record = example_comparison(), example_record(iterations=20)
    first, second = sample_plots([comparison, record])
    assert first.name == f"samples-{comparison.id}"
    text = words(first)
    for label in ("softmax", "relu", "ms an iteration", "block, in the order they ran", "warm-up", "20"):
        assert label in text, label
    assert "effvit-b2 at 224x224" in words(second)


def test_rows_that_are_not_valid_are_drawn_hollow_and_that_is_said() -> None:
    assert "hollow: not valid" in words(study(status="unsteady")[0])
    assert "hollow" not in words(study()[0])


def test_simulated_plots_are_watermarked() -> None:
    text = words(study(simulated=True)[0])
    assert text.splitlines().count("SIMULATED") == 1
    assert "no device was measured" in text


def test_compute_instead_of_latency_is_said() -> None:
    assert "compute ms" in words(study(value_is="compute")[0])


def test_the_same_figures_give_the_same_bytes() -> None:
    for number in (0, 2, 3):
        one, other = (drawn(study()[number], DARK, ("svg", "png")) for _ in range(2))
        assert one == other
    assert b"<dc:date>" not in one["svg"]


def test_every_plot_is_written_as_png_and_svg_light_and_dark(tmp_path: Path) -> None:
    written = write_plots(tmp_path / "plots", study()[:1])
    assert [path.name for path in written] == [
        f"latency-tokens-1-block-{theme}.{form}" for theme in ("light", "dark") for form in ("png", "svg")
    ]
    png = written[0].read_bytes()
    width, height = struct.unpack(">II", png[16:24])
    assert png.startswith(b"\x89PNG")
    assert width > 1000
    assert height > 700
    root = ElementTree.fromstring(written[1].read_bytes())
    assert root.find("{http://www.w3.org/2000/svg}title") is not None
    assert LIGHT.paper in written[1].read_text()
    assert DARK.paper in written[3].read_text()


def test_hostile_names_stay_names() -> None:
    hostile = "<script>$x$ & \x1b"
    rows = from_comparisons(
        [example_comparison(n, labels=(hostile, "relu"), tokens=(7 * n, 7)) for n in (1, 2)]
    )
    for plot in plots_of([], rows):
        text = words(plot)
        assert "<script>$x$ & ?" in text
        assert "\x1b" not in text


def test_without_matplotlib_the_way_to_it_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(figure, "plots_available", lambda: False)
    with pytest.raises(UsageError, match="plots need matplotlib") as error:
        write_plots(tmp_path, [])
    assert error.value.hint == "pip install 'vitbench[plots]'"


def test_a_directory_that_cannot_be_made_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "plots").touch()
    with pytest.raises(UsageError, match="cannot write"):
        write_plots(tmp_path / "plots", study()[:1])
