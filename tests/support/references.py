"""What the reference implementations said: entries of their checkpoints, outputs under known weights."""

from __future__ import annotations

import csv
import gzip
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

DATA = Path(__file__).parents[1] / "data"
# Fixtures of another form than one image in, one output out have tests of their own.
SPECIAL = ("segnext_b", "segnext_t", "sam_l0_decoder")
FIXTURES = sorted(path for path in (DATA / "parity").glob("*.json") if path.stem not in SPECIAL)
# The classical SwinIR is not in the zoo.
CHECKPOINTS = sorted(
    path.name.removesuffix(".tsv.gz")
    for path in (DATA / "state_dicts").glob("*.tsv.gz")
    if path.name != "swinir_classical_x2.tsv.gz"
)


def checkpoint_entries(name: str) -> dict[str, tuple[tuple[int, ...], str]]:
    """Shape and type of every entry of an official checkpoint."""
    with gzip.open(DATA / "state_dicts" / f"{name}.tsv.gz", "rt") as file:
        return {
            key: (() if shape == "scalar" else tuple(map(int, shape.split("x"))), dtype)
            for key, shape, _, dtype in csv.reader(file, delimiter="\t")
        }


def model_of_checkpoint(name: str) -> str:
    """The model whose checkpoint it is."""
    for pattern, model in (
        (r"cls_(\w+)", r"effvit-\1"),
        (r"backbone_(\w+)", r"effvit-\1-backbone"),
        (r"seg_(\w+?)_(\w+)", r"effvit-\1-\2"),
        (r"sam_(x?l\d)(_encoder)?", r"effvit-sam-\1"),
        (r"(\w+)_reparam", r"\1"),
        (r"(\w+)_timm", r"\1"),
        (r"restormer_default", r"restormer"),
        (r"swinir_lightweight_(\w+)", r"swinir-light-\1"),
    ):
        if match := re.fullmatch(pattern, name):
            return match.expand(model).replace("_", "-")
    return name.replace("_", "-")


def sampled(output: Tensor) -> NDArray[np.float64]:
    """The places of an output that a fixture holds: 512 spread evenly over the flattened output."""
    places = np.unique(np.rint(np.linspace(0, output.numel() - 1, 512)).astype(int))
    values: NDArray[np.float64] = output.detach().double().numpy().ravel()[places]
    return values
