"""Models as text: the list, and one with its counts beside the reference's and the published ones."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from vitbench.catalog import FamilySpec, base_name, format_resolution
from vitbench.report.columns import columns, width_of
from vitbench.report.numbers import wrap
from vitbench.report.screen import Screen
from vitbench.text import clean

INDENT = 4
# By whom a network is, where it is not its authors'.
OWN_DESIGN = "the authors' network is not public; this one is vitbench's own, on the paper's description"
NAMES = {
    "params": "parameters",
    "params_reparam": "parameters, branches merged",
    "params_deploy": "parameters, inference form",
    "macs": "MACs",
    "macs_attention": "MACs of attention products",
    "macs_deploy": "MACs, inference form",
    "macs_artifact": "MACs of the exported graph",
    "bytes_read": "bytes read by its layers",
    "bytes_written": "bytes written by its layers",
}


def model_list(families: Mapping[str, FamilySpec], screen: Screen, *, as_json: bool) -> str:
    """Every model by family, task and published resolution (HEIGHTxWIDTH), with the kinds to choose from."""
    if as_json:
        return json.dumps(model_entries(families), indent=2) + "\n"
    return "\n".join(_family(name, family, screen) for name, family in families.items())


def model_entries(families: Mapping[str, FamilySpec]) -> list[dict[str, Any]]:
    """Every model as JSON values."""
    return [
        {
            "name": base_name(family_name, name),
            "task": variant.task,
            "resolution": list(variant.resolution),
            "attention": list(family.attention),
            "upsample": list(family.upsample),
            "forms": list(family.forms),
            "design": variant.design,
            "family": family.title,
            "paper": family.paper,
        }
        for family_name, family in families.items()
        for name, variant in family.variants.items()
    ]


def _family(name: str, family: FamilySpec, screen: Screen) -> str:
    groups: dict[str, list[str]] = {}
    for variant_name, variant in family.variants.items():
        group = f"{variant.task} {format_resolution(variant.resolution)}"
        groups.setdefault(group, []).append(base_name(name, variant_name))
    lines = [f"{family.title}, {family.paper}"]
    lines += [f"  {group}: {', '.join(names)}" for group, names in groups.items()]
    if len(family.attention) > 1:
        lines.append(f"  attention: {', '.join(family.attention)}")
    if len(family.upsample) > 1:
        lines.append(f"  upsampling: {', '.join(family.upsample)}")
    if len(family.forms) > 1:
        lines.append(f"  forms: {', '.join(family.forms)}")
    return "\n".join(line for text in lines for line in _hanging(clean(text), screen)) + "\n"


def _hanging(text: str, screen: Screen) -> list[str]:
    """Lines that fit, all but the first indented further than it."""
    return textwrap.wrap(
        text,
        screen.width,
        subsequent_indent=" " * INDENT,
        break_on_hyphens=False,
        break_long_words=False,
    )


def model(data: Mapping[str, Any], screen: Screen, *, as_json: bool) -> str:
    """One model as `describe.describe_model` gives it; what is wider than the screen is folded."""
    if as_json:
        return json.dumps(data, indent=2) + "\n"
    parts = [_head(data, screen), _counts(data), _reference(data, screen), _published(data, screen)]
    return "\n".join(part for part in parts if part)


def _head(data: Mapping[str, Any], screen: Screen) -> str:
    formulation = ", ".join(f"{kind} as {way}" for kind, way in data["formulation"].items())
    said = [
        f"{data['name']} at {format_resolution(tuple(data['resolution']))}: {data['title']}",
        f"task {data['task']}, form {data['form']}" + (f"; computed: {formulation}" if formulation else ""),
    ]
    if data["inputs"]:
        shapes = [
            f"{each['name']} {'x'.join(map(str, each['shape']))} {each['dtype']}" for each in data["inputs"]
        ]
        said.append(f"inputs without the batch: {', '.join(shapes)}")
    for what, choice, kinds in (
        ("attention", data["attention"], data["attention_kinds"]),
        ("upsampling", data["upsample"], data["upsample_kinds"]),
    ):
        if choice:
            others = [kind for kind in kinds if kind != choice]
            said.append(f"{what} {choice}" + (f" (also: {', '.join(others)})" if others else ""))
    if data["parts"]:
        said.append(f"parts: {', '.join(data['parts'])}")
    if data["design"] == "vitbench":
        said.append(OWN_DESIGN)
    if data["paper"]:
        said.append(f"paper {data['paper']}, licence of the original {data['licence']}")
    return "\n".join(line for text in said for line in _hanging(clean(text), screen)) + "\n"


def _counts(data: Mapping[str, Any]) -> str:
    shown = [
        name
        for name in NAMES
        if data[name] is not None and not (name == "macs_deploy" and data[name] == data["macs"])
    ]
    return columns(
        ("count", "value"), [(NAMES[name], f"{data[name]:,}") for name in shown], right=("value",)
    ).partition("\n")[2]


def _reference(data: Mapping[str, Any], screen: Screen) -> str:
    reference = data["reference"]
    if reference is None:
        return ""
    text = f"reference implementation: equal ({', '.join(reference['counts'])})"
    if not reference["equal"]:
        told = [f"{name} {by:+,}" for name, by in reference["differences"].items()]
        text = f"reference implementation: DIFFERENT ({', '.join(told)})"
    return "\n".join(_hanging(text, screen)) + "\n"


def _published(data: Mapping[str, Any], screen: Screen) -> str:
    """What was published: counts with our difference, then accuracy and speed, then where and why."""
    figures = data["published"]
    if not figures:
        return "no published figures\n"
    sources = list(dict.fromkeys(figure["source"] for figure in figures))
    notes = list(dict.fromkeys(figure["note"] for figure in figures if figure["note"]))
    marks = [_mark(figure, sources, notes) for figure in figures]
    tables = [_published_counts(figures, marks), _published_figures(figures, marks, screen)]
    below = [f"[{number}] {source}" for number, source in enumerate(sources, 1)]
    below += [f"{_letter(number)}: {note}" for number, note in enumerate(notes)]
    folded = [line for text in below for line in _hanging(clean(text), screen)]
    return "\n".join([table for table in tables if table] + ["\n".join(folded) + "\n"])


def _mark(figure: Mapping[str, Any], sources: Sequence[str], notes: Sequence[str]) -> str:
    """Where a figure stands, and the letter of the note that explains it."""
    letter = _letter(notes.index(figure["note"])) if figure["note"] else ""
    return f"[{sources.index(figure['source']) + 1}] {letter}".rstrip()


def _letter(number: int) -> str:
    return chr(ord("a") + number)


def _published_counts(figures: Sequence[Mapping[str, Any]], marks: Sequence[str]) -> str:
    header = ("published at", "params", "ours", "MACs", "ours ", "source")
    rows = [
        (
            _size(figure),
            _unit(figure["params_m"], "M"),
            percent(figure["params_difference"]),
            _unit(figure["macs_g"], "G"),
            percent(figure["macs_difference"]),
            mark,
        )
        for figure, mark in zip(figures, marks, strict=True)
        if figure["params_m"] is not None or figure["macs_g"] is not None
    ]
    return columns(header, dict.fromkeys(rows), right=header[1:5]) if rows else ""


def _published_figures(figures: Sequence[Mapping[str, Any]], marks: Sequence[str], screen: Screen) -> str:
    """Accuracy and speed; what they were measured on stands below a row where it does not fit beside it."""
    rows = [
        {
            "published at": _size(figure),
            "metric": figure["metric"] or "",
            "dataset": figure["dataset"] or "",
            "value": f"{figure['value']:g}" if figure["value"] is not None else "",
            "latency": _unit(figure["latency_ms"], " ms"),
            "throughput": _unit(figure["throughput_img_s"], " img/s"),
            "source": mark,
            "measured on": _device(figure),
        }
        for figure, mark in zip(figures, marks, strict=True)
        if figure["value"] is not None or figure["latency_ms"] or figure["throughput_img_s"]
    ]
    used = [name for name in (rows[0] if rows else ()) if any(row[name] for row in rows)]
    for below in ((), ("measured on",), ("dataset", "measured on")):
        text = _with_lines_below(rows, used, below, screen)
        if width_of(text) <= screen.width:
            break
    return text


def _with_lines_below(
    rows: Sequence[Mapping[str, str]], used: Sequence[str], below: Sequence[str], screen: Screen
) -> str:
    """A table of the columns that are used, some of them as lines below each row."""
    if not rows:
        return ""
    header = tuple(name for name in used if name not in below)
    cells = [tuple(row[name] for name in header) for row in rows]
    lines = columns(header, cells, right=("value", "latency", "throughput")).splitlines()
    laid = [lines[0]]
    for line, row in zip(lines[1:], rows, strict=True):
        laid.append(line)
        text = "; ".join(row[name] for name in below if row[name])
        laid += [" " * INDENT + part for part in wrap(clean(text), screen.width - INDENT)]
    return "\n".join(laid) + "\n"


def _size(figure: Mapping[str, Any]) -> str:
    return format_resolution(figure["resolution"]) if figure["resolution"] else "not said"


def _device(figure: Mapping[str, Any]) -> str:
    parts = [figure["device"], figure["runtime"], figure["precision"]]
    if figure["batch"] not in (None, 1):
        parts.append(f"batch {figure['batch']}")
    return ", ".join(part for part in parts if part)


def _unit(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:g}{unit}"


def percent(difference: float | None) -> str:
    """A relative difference, `+0.4 %`, or `0.0 %` where it rounds to that; nothing for None."""
    if difference is None:
        return ""
    rounded = round(100 * difference, 1)
    return f"{rounded:+.1f} %" if rounded else "0.0 %"
