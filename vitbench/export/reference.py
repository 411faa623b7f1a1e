"""The outputs that an artifact is compared with, written as they are computed."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vitbench.errors import VitbenchError
from vitbench.export.inputs import SEED, Array, Described, made_inputs, run_count, zero_inputs
from vitbench.export.manifest import ParityEntry
from vitbench.records.schema import Reference

REFERENCE_FILE = "reference.npz"

Compute = Callable[[Mapping[str, Array]], Mapping[str, Array]]


@dataclass(frozen=True)
class Referee:
    """Who says what is right.

    Attributes:
        name: who it is, for the manifest and records.
        title: the same for messages.
        compute: from inputs by name to outputs by name.
        error: what is raised where an output is not finite.
    """

    name: Reference
    title: str
    compute: Compute
    error: type[VitbenchError]


def write_reference(
    referee: Referee,
    inputs: Sequence[Described],
    batch: int,
    images: int,
    directory: Path,
    special: Array | None = None,
) -> ParityEntry:
    """Write what the referee makes of the inputs of the comparison; no two outputs are in memory at a time.

    Args:
        images: how many seeded ones; further ones fill the last batch. One inference is all where no input
            is drawn: another would be the same.
        special: image that comes after these.
    """
    constant = len(zero_inputs(inputs)) == len(inputs)
    runs = 1 if constant else run_count(images + (special is not None), batch)
    place = images if special is not None else None
    with zipfile.ZipFile(directory / REFERENCE_FILE, "w") as archive:
        for number, made in enumerate(made_inputs(inputs, runs, SEED, special, place)):
            for name, values in referee.compute(made).items():
                if not np.isfinite(values).all():
                    raise referee.error(
                        f"reference output '{name}.{number}' of {referee.title} is not finite"
                    )
                _add_array(archive, f"{name}.{number}", values)
    return ParityEntry(
        seed=SEED,
        runs=runs,
        images=runs * batch,
        reference=referee.name,
        reference_file=REFERENCE_FILE,
        special_index=place,
    )


def _add_array(archive: zipfile.ZipFile, name: str, values: np.ndarray[Any, Any]) -> None:
    """Add one array to an .npz that is being written; the same arrays give the same bytes."""
    with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as file:
        np.lib.format.write_array(file, values, allow_pickle=False)
