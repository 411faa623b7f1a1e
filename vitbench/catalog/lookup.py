"""Names to specs, with a did-you-mean for the names nobody has."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import TypeVar

from vitbench.catalog.files import load_families, load_targets, read_spec
from vitbench.catalog.names import format_resolution, parse_model_name
from vitbench.catalog.specs import FamilySpec, ModelSpec, TargetSpec, VariantSpec
from vitbench.errors import UsageError

T = TypeVar("T")


def unknown(what: str, name: str, known: Iterable[str], listing: str) -> UsageError:
    """Error for a name that is not known, with the nearest known one.

    Args:
        what: kind of thing, for the message ("model", "target").
        name: what was asked for.
        known: every name there is.
        listing: command that lists them.
    """
    known = list(known)
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean `{near[0]}`? " if near else ""
    return UsageError(f"unknown {what} '{name}'", f"{hint}`{listing}` lists what there is")


def model_names() -> list[str]:
    """Every model name, without kinds, forms and resolutions."""
    return [f"{family}-{variant}" for family, spec in load_families().items() for variant in spec.variants]


def find_variant(family: str, variant: str) -> tuple[FamilySpec, VariantSpec]:
    """The family and variant of these names.

    Raises:
        UsageError: no such family or variant.
    """
    families = load_families()
    if family not in families or variant not in families[family].variants:
        raise unknown("model", f"{family}-{variant}", model_names(), "vitbench models")
    return families[family], families[family].variants[variant]


def resolve_model(
    name: str,
    *,
    resolution: tuple[int, int] | None = None,
    attention: str | None = None,
) -> ModelSpec:
    """Resolve a model name and options to a spec.

    Args:
        name: `family-variant[-task][+kind][@form][:HxW]`.
        resolution: (height, width) in pixels; the published one when neither this nor the name says.
        attention: attention kind; the published one when neither says.

    Raises:
        UsageError: an unknown name, kind or form, an unusable resolution, or an option that contradicts
            the name's suffix.
    """
    parsed = parse_model_name(name)
    family, variant = find_variant(parsed.family, parsed.variant)
    listing = f"vitbench models show {parsed.family}-{parsed.variant}"
    default = family.attention[0] if family.attention else None
    kind = _agree("--attention", name, parsed.attention, attention) or default
    if kind != default and kind not in family.attention:
        raise unknown(f"attention kind of {family.family}", str(kind), family.attention, listing)
    form = parsed.form or "deploy"
    if form not in family.forms:
        raise unknown(f"form of {family.family}", form, family.forms, listing)
    size = _agree("--resolution", name, parsed.resolution, resolution) or variant.resolution
    _check_resolution(name, size, family.stride)
    return ModelSpec(
        family=parsed.family,
        variant=parsed.variant,
        builder=variant.builder or family.builder,
        task=variant.task,
        hyper=variant.hyper,
        attention=kind,
        default_attention=default,
        form=form,
        upsample=family.upsample[0] if family.upsample else None,
        default_upsample=family.upsample[0] if family.upsample else None,
        resolution=size,
        stride=family.stride,
        inputs=variant.inputs,
    )


def _agree(option: str, name: str, suffix: T | None, value: T | None) -> T | None:
    if suffix is not None and value is not None and suffix != value:
        raise UsageError(f"{option} contradicts the name '{name}'", f"drop {option} or the name's suffix")
    return suffix if value is None else value


def _check_resolution(name: str, resolution: tuple[int, int], stride: int) -> None:
    text = format_resolution(resolution)
    if min(resolution) <= 0:
        raise UsageError(
            f"resolution {text} of {name} is not positive", "write HEIGHTxWIDTH in pixels: 224 or 512x1024"
        )
    if any(side % stride for side in resolution):
        nearest = format_resolution((_nearest(resolution[0], stride), _nearest(resolution[1], stride)))
        raise UsageError(
            f"resolution {text} of {name} is not a multiple of its stride {stride}",
            f"the nearest is {nearest}",
        )


def _nearest(side: int, stride: int) -> int:
    return max(stride, round(side / stride) * stride)


def resolve_target(name: str) -> TargetSpec:
    """Resolve a target's name, or the path of a TOML file, to a spec.

    Raises:
        UsageError: no such target, or a file that does not fit.
    """
    targets = load_targets()
    if name.endswith(".toml"):
        spec = read_spec(Path(name), TargetSpec)
        if not spec.override and targets.get(spec.name, spec) != spec:
            raise UsageError(
                f"{name} defines target '{spec.name}', and there is another one of that name",
                "choose another name, or say `override = true` in the file to replace it",
            )
        return spec
    if name not in targets:
        raise unknown("target", name, targets, "vitbench targets")
    return targets[name]
