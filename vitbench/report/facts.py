"""Models and targets as text: lists, and one with everything that is known of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from vitbench.catalog import FamilySpec, TargetSpec, format_resolution
from vitbench.report.columns import columns
from vitbench.text import clean


def model_list(families: Mapping[str, FamilySpec], *, as_json: bool) -> str:
    """Every model: name, task, default resolution (HEIGHTxWIDTH), attention kinds, family."""
    entries: list[dict[str, Any]] = [
        {
            "name": f"{family.family}-{name}",
            "task": variant.task,
            "resolution": list(variant.resolution),
            "attention": list(family.attention),
            "family": family.title,
        }
        for family in families.values()
        for name, variant in family.variants.items()
    ]
    if as_json:
        return json.dumps(entries, indent=2) + "\n"
    blocks = []
    for family in families.values():
        rows = [
            (f"{family.family}-{name}", variant.task, format_resolution(variant.resolution))
            for name, variant in family.variants.items()
        ]
        kinds = f"attention: {clean(', '.join(family.attention))}\n" if family.attention else ""
        blocks.append(f"{clean(family.title)}\n{kinds}{columns(('model', 'task', 'resolution'), rows)}")
    return "\n".join(blocks)


def target_list(targets: Mapping[str, TargetSpec], *, as_json: bool) -> str:
    """Every target: name, transport, runtime, precision, title."""
    if as_json:
        return json.dumps([spec.model_dump(mode="json") for spec in targets.values()], indent=2) + "\n"
    rows = [
        (spec.name, spec.transport, spec.runtime, spec.precision, spec.title) for spec in targets.values()
    ]
    return columns(("target", "transport", "runtime", "precision", "what"), rows)


def target(spec: TargetSpec, *, as_json: bool) -> str:
    """One target with every field of its file."""
    data = spec.model_dump(mode="json")
    if as_json:
        return json.dumps(data, indent=2) + "\n"
    rows = []
    for key, value in data.items():
        fields = value.items() if isinstance(value, dict) else [(None, value)]
        rows += [
            (f"{key}.{name}" if name else key, _text(field)) for name, field in fields if field is not None
        ]
    return columns(("field", "value"), rows)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def model(data: Mapping[str, Any], *, as_json: bool) -> str:
    """One model: exact counts at its resolution, and the published figures beside ours."""
    if as_json:
        return json.dumps(data, indent=2) + "\n"
    counts = (
        ("parameters", f"{data['params']:,}"),
        ("parameters, inference form", f"{data['params_deploy']:,}"),
        ("MACs", f"{data['macs']:,}"),
        ("MACs of attention products", f"{data['macs_attention']:,}"),
        ("MACs of the exported graph", f"{data['macs_artifact']:,}"),
        ("bytes read by its layers", f"{data['bytes_read']:,}"),
        ("bytes written by its layers", f"{data['bytes_written']:,}"),
    )
    width = max(len(value) for _, value in counts)
    lines = [
        f"{data['name']} at {format_resolution(tuple(data['resolution']))}: {data['title']}",
        f"task {data['task']}, attention {data['attention']} ({', '.join(data['formulation'].values())})",
        f"attention kinds of the family: {', '.join(data['attention_kinds'])}",
        f"paper {data['paper']}, licence of the original {data['licence']}",
        "",
        *(f"{name:<28} {value:>{width}}" for name, value in counts),
        "",
        "",
    ]
    return "\n".join(map(clean, lines)) + _published(data)


def _published(data: Mapping[str, Any]) -> str:
    """The published figures; ours stands beside parameters, and beside MACs at the shown resolution."""
    figures = data["published"]
    if not figures:
        return "no published figures\n"
    rows, sources = [], list(dict.fromkeys(figure["source"] for figure in figures))
    for figure in figures:
        same = figure["resolution"] in (None, list(data["resolution"]))
        rows.append(
            (
                format_resolution(figure["resolution"]) if figure["resolution"] else "not said",
                _beside(figure["params_m"], data["params"] / 1e6, "M"),
                _beside(figure["macs_g"], data["macs"] / 1e9 if same else None, "G"),
                f"{figure['metric']} {figure['value']}" if figure["metric"] else "",
                f"{figure['latency_ms']} ms" if figure["latency_ms"] else "",
                f"{figure['throughput_img_s']:.0f} img/s" if figure["throughput_img_s"] else "",
                " ".join(part for part in (figure["device"], figure["precision"]) if part),
                f"[{sources.index(figure['source']) + 1}]",
            )
        )
    header = (
        "resolution",
        "params (ours)",
        "MACs (ours)",
        "accuracy",
        "latency",
        "throughput",
        "device",
        "source",
    )
    notes = [f"[{number}] {clean(source)}" for number, source in enumerate(sources, 1)]
    return "published\n" + columns(header, rows) + "\n" + "\n".join(notes) + "\n"


def _beside(published: float | None, ours: float | None, unit: str) -> str:
    if published is None:
        return ""
    return f"{published:g}{unit}" + (f" ({ours:.4g}{unit})" if ours is not None else "")
