"""Everything known of a model: exact counts beside the reference implementation's and the published ones."""

from __future__ import annotations

from typing import Any

from vitbench import catalog
from vitbench.catalog import FamilySpec, ModelSpec, VariantSpec

SOURCE_TITLES = {
    "timm": "pytorch-image-models (timm)",
    "onnx": "a graph from a file",
    "py": "a network from a file",
}


def describe_model(spec: ModelSpec) -> dict[str, Any]:
    """Describe a model as JSON values.

    Counts are exact integers (see `counting.count_model`, `counting.count_forms`). Published figures name
    their source and, where they differ for a known reason, that reason in full; `params_difference` and
    `macs_difference` are (ours - published) / published, None where the figure is not of this network at this
    resolution. `reference` has what was counted on the reference implementation, None where nothing was.
    """
    if spec.from_elsewhere:
        return _identity(spec) | _from_elsewhere(spec) | _counts(spec, reparam=False)
    family, variant = catalog.find_variant(spec.family, spec.variant)
    described = _identity(spec) | _from_catalog(spec, family, variant)
    described |= _counts(spec, reparam="reparam" in family.forms)
    described["published"] = _published(spec, family, variant, described)
    described["reference"] = _reference(spec, described)
    return described


def table_specs(family: str | None = None) -> list[ModelSpec]:
    """What the table of all models shows: every variant where it was published, and wherever it was counted.

    Args:
        family: show only this one.

    Raises:
        UsageError: there is no such family.
    """
    families = catalog.load_families()
    if family is not None and family not in families:
        raise catalog.unknown("family", family, families, "vitbench models")
    specs = []
    for name, spec in families.items():
        if family not in (None, name):
            continue
        for variant in spec.variants:
            model = catalog.base_name(name, variant)
            default = catalog.resolve_model(model)
            counted = [size for counted, size in catalog.reference_counts() if counted == model]
            sizes = dict.fromkeys([default.resolution, *counted])
            specs += [default.model_copy(update={"resolution": size}) for size in sizes]
    return specs


def differs(described: dict[str, Any]) -> bool:
    """Whether a model is counted in another way than on its reference implementation."""
    reference = described["reference"]
    return reference is not None and not reference["equal"]


def _identity(spec: ModelSpec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "family": spec.family,
        "variant": spec.variant,
        "task": spec.task,
        "resolution": list(spec.resolution),
        "inputs": [each.model_dump(mode="json") for each in spec.inputs],
        "attention": spec.attention,
        "upsample": spec.upsample,
        "form": spec.form,
    }


def _from_catalog(spec: ModelSpec, family: FamilySpec, variant: VariantSpec) -> dict[str, Any]:
    return {
        "title": family.title,
        "design": variant.design,
        "paper": family.paper,
        "licence": family.licence,
        "attention_kinds": list(family.attention) if spec.attention else [],
        "upsample_kinds": list(family.upsample) if spec.upsample else [],
        "forms": list(family.forms),
        "parts": catalog.parts_of(spec),
    }


def _from_elsewhere(spec: ModelSpec) -> dict[str, Any]:
    return {
        "title": SOURCE_TITLES[spec.family],
        "design": "original",
        "paper": None,
        "licence": None,
        "attention_kinds": [],
        "upsample_kinds": [],
        "forms": [spec.form],
        "parts": [],
        "published": [],
        "reference": None,
    }


def _counts(spec: ModelSpec, *, reparam: bool) -> dict[str, Any]:
    from vitbench import counting

    counts = counting.count_model(spec)
    forms = None if spec.family == "onnx" else counting.count_forms(spec, reparam=reparam)
    return {
        "formulation": counts.formulation,
        "params": counts.params,
        "params_deploy": counts.params_deploy,
        "params_reparam": forms.params_reparam if forms else None,
        "macs": counts.macs,
        "macs_attention": counts.macs_attention,
        "macs_deploy": forms.macs_deploy if forms else counts.macs,
        "macs_artifact": counts.macs_artifact,
        "bytes_read": counts.bytes_read,
        "bytes_written": counts.bytes_written,
    }


def _published(
    spec: ModelSpec, family: FamilySpec, variant: VariantSpec, ours: dict[str, Any]
) -> list[dict[str, Any]]:
    described = []
    for figure in variant.published:
        here = (figure.resolution or variant.resolution) == spec.resolution
        params = ours["params"] / 1e6 if spec.as_published else None
        macs = ours["macs"] / 1e9 if spec.as_published and here else None
        described.append(
            figure.model_dump(mode="json")
            | {
                "source": family.sources[figure.source],
                "note": family.notes[figure.note] if figure.note else None,
                "params_difference": _relative(params, figure.params_m),
                "macs_difference": _relative(macs, figure.macs_g),
            }
        )
    return described


def _relative(ours: float | None, published: float | None) -> float | None:
    return None if ours is None or not published else ours / published - 1


def _reference(spec: ModelSpec, ours: dict[str, Any]) -> dict[str, Any] | None:
    counts = catalog.reference_of(spec)
    if counts is None:
        return None
    differences = {name: ours[name] - count for name, count in counts.items() if ours[name] != count}
    return {"counts": counts, "equal": not differences, "differences": differences}
