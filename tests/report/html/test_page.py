"""The page: whole, escaped, refers to nothing, and can be read without seeing it."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from benchmarks.example_comparisons import example_comparison, example_study
from benchmarks.example_records import example_record
from vitbench.report import render_comparisons, render_records
from vitbench.report.plots import figure

HOSTILE = "</td><script>alert(1)</script> \" ' & |\nnext\x1b[31m"
VOID = {"meta", "br", "link", "img", "hr", "input"}


class Parsed(HTMLParser):
    """Elements of a page with their attributes; fails where tags do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture(scope="module")
def text() -> str:
    return render_comparisons(example_study(3), "html", timings=True)


@pytest.fixture(scope="module")
def parsed(text: str) -> Parsed:
    return Parsed(text)


def test_everything_measured_is_there(text: str, parsed: Parsed) -> None:
    assert "vitbench: softmax against relu, on cpu" in parsed.words
    for said in ("0.9144 ± 0.0070", "Where the time went", "How each side was computed", "limited by"):
        assert said in text
    assert len(parsed.all("svg")) == 4


def test_nothing_is_fetched_from_anywhere(text: str, parsed: Parsed) -> None:
    assert not re.search(r"https?:|//[a-z]|@import|url\((?!#)", text)
    for _, attributes in parsed.found:
        target = attributes.get("href") or attributes.get("src") or "#"
        assert target.startswith(("#", "data:")), attributes
    assert "default-src 'none'" in text


def test_tables_can_be_read_without_seeing_them(parsed: Parsed) -> None:
    assert len(parsed.all("table")) == 8
    assert {header.get("scope") for header in parsed.all("th")} == {"col", "row"}
    boxes = [each for each in parsed.all("div") if each.get("class") == "box"]
    assert all(box.get("aria-label") and box.get("tabindex") == "0" for box in boxes)
    assert parsed.all("html")[0]["lang"] == "en"


def test_plots_have_titles_and_descriptions(parsed: Parsed) -> None:
    assert all(svg.get("role") == "img" for svg in parsed.all("svg"))
    assert len(parsed.all("desc")) == len(parsed.all("figcaption")) == 4


def test_ids_are_unique_and_references_meet_them(text: str, parsed: Parsed) -> None:
    ids = [attributes["id"] for _, attributes in parsed.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    references = re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', text)
    assert {one or other for one, other in references} <= set(ids)


def test_figures_have_values_to_sort_by(parsed: Parsed) -> None:
    values = [float(value) for cell in parsed.all("td") if (value := cell.get("data-value"))]
    assert 0.9144 in values
    areas = {cell.get("data-value") for cell in parsed.all("th") if cell.get("scope") == "row"}
    assert {"49", "196", "784"} <= areas


def test_both_colour_schemes_and_print_are_there(text: str) -> None:
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text
    assert 'name="viewport"' in text
    assert not re.search(r'style="[^"]*#[0-9a-f]{6}', text), "plots use the colours of the page"


def test_names_from_elsewhere_stay_text() -> None:
    comparison = example_comparison(labels=(HOSTILE, "relu"), status="unsteady", reasons=(HOSTILE,))
    hostile = render_comparisons([comparison, example_comparison(2)], "html")
    parsed = Parsed(hostile)
    assert len(parsed.all("script")) == 1
    assert "alert(1)" not in "".join(str(attributes) for name, attributes in parsed.found if name == "script")
    assert "\x1b" not in hostile
    assert "&lt;/td&gt;&lt;script&gt;alert(1)" in hostile


@pytest.mark.parametrize("status", ["unsteady", "inconclusive", "parity-failed"])
def test_rows_that_are_not_valid_are_marked_in_their_name_too(status: str) -> None:
    text = render_comparisons([example_comparison(status=status, reasons=("why",))], "html")
    assert '<tr class="doubtful">' in text
    assert f'class="{status}">{status} [1]</td>' in text
    assert "[1] why" in text


def test_simulated_rows_are_watermarked() -> None:
    text = render_comparisons([example_comparison(simulated=True)], "html")
    assert '<p class="watermark">SIMULATED: ' in text


def test_runs_have_a_page_too() -> None:
    parsed = Parsed(render_records([example_record(iterations=5)], "html"))
    assert "vitbench: 1 run" in parsed.words
    assert "27.43 ± 0.21" in parsed.words
    assert "nothing measured" in render_records([], "html")


def test_the_page_is_the_same_every_time() -> None:
    study = example_study(2)
    assert render_comparisons(study, "html") == render_comparisons(study, "html")


def test_without_matplotlib_there_is_a_page_without_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figure, "plots_available", lambda: False)
    text = render_comparisons(example_study(2), "html")
    assert "No plots: matplotlib is not installed here" in text
    assert "<svg" not in text
