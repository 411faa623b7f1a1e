"""Targets as text: the list, and one with everything that is known of it."""

from __future__ import annotations

import json
from collections.abc import Mapping

from vitbench.catalog import TargetSpec
from vitbench.report.columns import columns


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
            (f"{key}.{name}" if name else key, text)
            for name, field in fields
            if field is not None
            for text in (map(_text, field) if isinstance(field, list) else [_text(field)])
        ]
    return columns(("field", "value"), rows)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
