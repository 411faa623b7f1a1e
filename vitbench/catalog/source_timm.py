"""Networks of timm (pytorch-image-models), by name."""

from __future__ import annotations

from typing import Any

from vitbench.catalog.elsewhere import DEFAULT_RESOLUTION, make_spec, split_resolution
from vitbench.catalog.nearest import unknown
from vitbench.catalog.specs import ModelSpec, Resolution
from vitbench.errors import UsageError

TIMM_HINT = "pip install 'vitbench[timm]'"


def import_timm() -> Any:
    """The package timm.

    Raises:
        UsageError: it is not installed, or cannot be imported.
    """
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import timm
    except ImportError as error:
        if error.name == "timm":
            raise UsageError("timm is not installed", TIMM_HINT) from None
        raise UsageError(f"timm cannot be imported: {error}", TIMM_HINT) from error
    return timm


def resolve_timm(name: str, rest: str, resolution: Resolution | None) -> ModelSpec:
    """Resolve `timm:NAME[:HxW]`; the resolution is that of the published weights where none is asked for."""
    variant, resolution = split_resolution(name, rest, resolution)
    timm = import_timm()
    known = timm.list_models()
    if variant.partition(".")[0] not in known:
        listing = "python -c 'import timm; print(*timm.list_models(), sep=\"\\n\")'"
        raise unknown("network of timm", variant, known, listing)
    published = _published_resolution(timm, variant)
    hyper = {"name": variant, "timm": timm.__version__, "resolution": list(published)}
    return make_spec("timm", variant, hyper, resolution or published)


def _published_resolution(timm: Any, variant: str) -> Resolution:
    """The resolution that a network was published at."""
    config = timm.get_pretrained_cfg(variant)
    _, height, width = getattr(config, "input_size", None) or (3, *DEFAULT_RESOLUTION)
    return int(height), int(width)
