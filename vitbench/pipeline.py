"""The one place that wires a measurement: model and target to artifact, parity, samples and record."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

from vitbench import __version__, catalog
from vitbench.catalog import ModelSpec, TargetSpec, Workload
from vitbench.errors import UsageError, VitbenchError
from vitbench.records.schema import Plan, Record


@dataclass(frozen=True)
class Cell:
    """One workload on one target."""

    workload: Workload
    target: TargetSpec

    @property
    def label(self) -> str:
        """`effvit-b2:224x224 on cpu`."""
        return f"{self.workload.label} on {self.target.name}"


def describe_model(spec: ModelSpec) -> dict[str, Any]:
    """Everything known of a model: exact counts at its resolution, and the published figures.

    Counts are exact integers (see `counting.count_model`); published figures name their source in full.
    """
    from vitbench import counting

    family, variant = catalog.find_variant(spec.family, spec.variant)
    counts = counting.count_model(spec)
    return {
        "name": spec.name,
        "family": spec.family,
        "variant": spec.variant,
        "title": family.title,
        "task": spec.task,
        "paper": family.paper,
        "licence": family.licence,
        "resolution": list(spec.resolution),
        "attention": spec.attention,
        "attention_kinds": list(family.attention),
        "formulation": counts.formulation,
        "form": spec.form,
        "params": counts.params,
        "params_deploy": counts.params_deploy,
        "macs": counts.macs,
        "macs_attention": counts.macs_attention,
        "macs_artifact": counts.macs_artifact,
        "bytes_read": counts.bytes_read,
        "bytes_written": counts.bytes_written,
        "published": [
            figure.model_dump(mode="json") | {"source": family.sources[figure.source]}
            for figure in variant.published
        ],
    }
