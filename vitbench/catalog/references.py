"""What was counted on the reference implementations: models/reference_counts.csv."""

from __future__ import annotations

import csv
from functools import cache

from vitbench.catalog.files import builtin_directory
from vitbench.catalog.names import base_name, parse_resolution
from vitbench.catalog.specs import ModelSpec, Resolution

FILE = "reference_counts.csv"


@cache
def reference_counts() -> dict[tuple[str, Resolution], dict[str, int]]:
    """Exact counts by name and resolution; a count that was not taken is absent.

    `params`, `macs`, `macs_attention` are of the train form, `params_reparam` of the one with its branches
    merged, `params_deploy` and `macs_deploy` of the inference form.
    """
    with (builtin_directory("models") / FILE).open(encoding="utf-8") as file:
        return {
            (row.pop("model"), parse_resolution(row.pop("resolution"))): {
                name: int(count) for name, count in row.items() if count
            }
            for row in csv.DictReader(file)
        }


def reference_of(spec: ModelSpec) -> dict[str, int] | None:
    """The reference's counts of a model at its resolution; None where none were taken.

    They do not depend on the form that runs, and are of the published attention and upsampling.
    """
    name = base_name(spec.family, spec.variant)
    return reference_counts().get((name, spec.resolution)) if spec.as_published else None
