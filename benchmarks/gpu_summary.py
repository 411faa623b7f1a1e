"""What came out of the steps on a GPU, as Markdown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vitbench.records import index
from vitbench.records.store import Store
from vitbench.report.rows import Row, from_flat

STEPS_FILE = "steps.json"
MISSING = "–"


@dataclass(frozen=True)
class Outcome:
    """How a step went: how long it took, and what went wrong, None where nothing did."""

    seconds: float
    problem: str | None


def load_outcomes(results: Path) -> dict[str, Outcome]:
    """What is kept of earlier steps; nothing where there is none."""
    path = results / STEPS_FILE
    if not path.is_file():
        return {}
    return {name: Outcome(**told) for name, told in json.loads(path.read_text()).items()}


def save_outcomes(results: Path, outcomes: Mapping[str, Outcome]) -> None:
    """Keep how the steps went so far."""
    told = {name: asdict(outcome) for name, outcome in outcomes.items()}
    (results / STEPS_FILE).write_text(json.dumps(told, indent=1), encoding="utf-8")


def render(results: Path, outcomes: Mapping[str, Outcome]) -> str:
    """The summary of everything in a directory of results."""
    contents = index.load(Store(str(results / "records"))) if (results / "records").is_dir() else None
    rows = newest([from_flat(flat) for flat in contents.rows]) if contents else []
    peak = read_peak(results)
    latency = [row for row in rows if row.metric == "latency"]
    parts = [
        "# What this GPU shows\n",
        _peak_words(peak),
        "## Steps\n",
        _table(
            ("step", "seconds", "outcome"),
            [(name, f"{each.seconds:.0f}", each.problem or "done") for name, each in outcomes.items()],
        ),
        *_section("Fidelity: our loop against a bare one", _fidelity(results)),
        *_section("Latency", _latency(latency, peak)),
        *_section("Gain over PyTorch, operator by operator", _gains(latency)),
        *_section("Throughput", _throughput([row for row in rows if row.metric == "throughput"])),
        *_section("Attention", _comparisons(contents.comparisons if contents else [])),
    ]
    return "\n".join(parts) + "\n"


def newest(rows: Sequence[Row]) -> list[Row]:
    """The newest row of each network, batch, target and metric, in the order of their ages."""
    kept: dict[tuple[object, ...], Row] = {}
    for row in sorted(rows, key=lambda row: (row.created_utc, row.id)):
        kept[(row.model, row.resolution, row.batch, row.target, row.metric)] = row
    return list(kept.values())


def read_peak(results: Path) -> dict[str, Any] | None:
    """What the probe of the device printed; None where it did not run."""
    path = results / "logs" / "peak.txt"
    for line in path.read_text(errors="replace").splitlines() if path.is_file() else []:
        if line.startswith("{"):
            told: dict[str, Any] = json.loads(line)
            return told
    return None


def floor_ms(row: Row, peak: Mapping[str, Any]) -> float:
    """The time that a network's MACs or its traffic take at the device's own best, the longer of the two."""
    traffic = row.bytes_read + row.bytes_written
    rates = float(peak["macs_per_s"]), float(peak["bytes_per_s"])
    return max(row.macs_artifact / rates[0], traffic / rates[1]) * 1e3


def _peak_words(peak: Mapping[str, Any] | None) -> str:
    if peak is None:
        return "The device's own peak is not known: its step did not run.\n"
    cuda = f", CUDA {peak['cuda']}" if peak["cuda"] else ""
    side, precision = peak["side"], peak["precision"]
    return (
        f"{peak['device']}, PyTorch {peak['torch']}{cuda}. Its best in two probes: "
        f"{peak['macs_per_s'] / 1e12:.3g} TMAC/s (a {precision} product of matrices of {side} x {side}) and "
        f"{peak['bytes_per_s'] / 1e9:.4g} GB/s (a copy, read and written).\n"
    )


def _latency(rows: Sequence[Row], peak: Mapping[str, Any] | None) -> str:
    header = ("network", "target", "latency ms", "of the paper's kind", "in", "compute", "out", "residual")
    cells = [
        (
            f"{row.model}:{row.resolution}",
            row.target,
            _figure(row.latency_ms),
            _figure(row.latency_paper_ms),
            *(_figure(value) for value in (row.h2d_ms, row.compute_ms, row.d2h_ms, row.residual_ms)),
            _over_floor(row, peak),
            _parity(row),
            row.status,
        )
        for row in rows
    ]
    note = (
        "Latency is the host's wall clock round one request; of the paper's kind is the sum of its parts, "
        "without the residual. The floor is what MACs or counted traffic take at the device's own best, the "
        "longer.\n"
    )
    return f"{note}\n{_table((*header, 'compute over floor', 'parity', 'status'), cells)}" if cells else ""


def _over_floor(row: Row, peak: Mapping[str, Any] | None) -> str:
    if peak is None or row.compute_ms is None or row.precision != peak["precision"]:
        return MISSING
    return f"{row.compute_ms / floor_ms(row, peak):.2f}x"


def _gains(rows: Sequence[Row]) -> str:
    plain = {(row.model, row.resolution, row.batch): row for row in rows if row.target == "torch-eager"}
    cells = []
    for row in rows:
        against = plain.get((row.model, row.resolution, row.batch))
        if against is None or row is against or not (row.latency_ms and against.latency_ms):
            continue
        gain = f"{against.latency_ms / row.latency_ms:.2f}x"
        cells.append((f"{row.model}:{row.resolution}", row.target, gain, f"{row.status}, {against.status}"))
    return _table(("network", "target", "gain", "status of both"), cells) if cells else ""


def _throughput(rows: Sequence[Row]) -> str:
    cells = [
        (
            f"{row.model}:{row.resolution}",
            row.target,
            str(row.batch),
            _figure(row.throughput_img_s),
            f"{row.streams}, {'overlapping' if row.overlap else 'one after the other'}",
            _parity(row),
            row.status,
        )
        for row in sorted(rows, key=lambda row: (row.target, row.model, row.batch))
    ]
    header = ("network", "target", "batch", "images/s", "streams", "parity", "status")
    return _table(header, cells) if cells else ""


def _comparisons(flats: Sequence[Mapping[str, Any]]) -> str:
    cells = []
    for flat in flats:
        first, second = flat["row.labels"]
        tokens = "x".join(map(str, flat.get("row.tokens") or ())) or "whole network"
        low, high = flat.get("ratio.low"), flat.get("ratio.high")
        interval = MISSING if low is None or high is None else f"[{low:.3f}, {high:.3f}]"
        value = flat.get("ratio.ratio")
        sides = [_figure(side.get("estimate.latency_ms")) for side in flat["sides"]]
        where = ", ".join(dict.fromkeys(side["target.name"] for side in flat["sides"]))
        names = f"{second} over {first}", where, flat["row.part"], tokens
        cells.append((*names, _figure(value), interval, *sides))
    header = ("sides", "target", "part", "tokens", "ratio", "95 %", "first ms", "second ms")
    return _table(header, cells) if cells else ""


def _fidelity(results: Path) -> str:
    found = (_log(results, step, ", ratio ") for step in ("fidelity", "tensorrt-fidelity"))
    return "\n".join(lines for lines in found if lines)


def _log(results: Path, step: str, word: str) -> str:
    """The lines of a step's log that hold a word."""
    path = results / "logs" / f"{step}.txt"
    lines = path.read_text(errors="replace").splitlines() if path.is_file() else []
    return "\n".join(f"- {_clean(line)}" for line in lines if word in line)


def _section(title: str, body: str) -> list[str]:
    return [f"## {title}\n", body or "Nothing was measured.", ""]


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *([_clean(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _clean(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _parity(row: Row) -> str:
    return row.parity if row.parity_max_diff is None else f"{row.parity} {row.parity_max_diff:.0e}"


def _figure(value: float | None) -> str:
    return MISSING if value is None else f"{value:.4g}"
