"""What there is to measure and where: the TOML files under models/ and targets/ as frozen specs."""

from vitbench.catalog.devices import DeviceOptions
from vitbench.catalog.files import load_families, load_targets
from vitbench.catalog.lookup import find_variant, model_names, parts_of, resolve_model, resolve_target
from vitbench.catalog.names import base_name, format_resolution, parse_resolution
from vitbench.catalog.nearest import unknown
from vitbench.catalog.references import reference_counts, reference_of
from vitbench.catalog.specs import FamilySpec, ModelSpec, SimScript, TargetSpec, VariantSpec, Workload

__all__ = [
    "DeviceOptions",
    "FamilySpec",
    "ModelSpec",
    "SimScript",
    "TargetSpec",
    "VariantSpec",
    "Workload",
    "base_name",
    "find_variant",
    "format_resolution",
    "load_families",
    "load_targets",
    "model_names",
    "parse_resolution",
    "parts_of",
    "reference_counts",
    "reference_of",
    "resolve_model",
    "resolve_target",
    "unknown",
]
