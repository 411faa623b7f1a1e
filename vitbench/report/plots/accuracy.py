"""The published accuracy of a network that was measured, where it is the one that was published."""

from __future__ import annotations

from dataclasses import dataclass

from vitbench.errors import UsageError
from vitbench.report.rows import Row

METRICS = ("top1", "mIoU", "mIoU (ss)", "mAP", "PSNR_Y")
UNITS = {"PSNR_Y": "dB"}


@dataclass(frozen=True)
class Accuracy:
    """A published figure: of which metric on which data (None where the source is silent), and by whom."""

    metric: str
    task: str
    dataset: str | None
    value: float
    source: str

    @property
    def unit(self) -> str:
        """dB, else per cent."""
        return UNITS.get(self.metric, "%")


def published_accuracy(row: Row) -> list[Accuracy]:
    """What was published of this network at this resolution, one figure per metric and data.

    Nothing for a network with another attention than the published one, of vitbench's own design, or from
    elsewhere.
    """
    from vitbench.catalog import find_variant, resolve_model
    from vitbench.catalog.sources import is_source

    if is_source(row.model):
        return []
    try:
        spec = resolve_model(row.model, resolution=(row.height, row.width))
        family, variant = find_variant(spec.family, spec.variant)
    except UsageError:
        return []
    if not spec.as_published or variant.design != "original":
        return []
    found: dict[tuple[str, str | None], Accuracy] = {}
    for figure in variant.published:
        here = (figure.resolution or variant.resolution) == (row.height, row.width)
        if here and figure.metric in METRICS and figure.value is not None:
            # Where sources differ in the last digit, the first of the file is the newest.
            key = (figure.metric, None if variant.task == "cls" else figure.dataset)
            source = family.sources[figure.source]
            found.setdefault(key, Accuracy(figure.metric, variant.task, figure.dataset, figure.value, source))
    return list(found.values())
