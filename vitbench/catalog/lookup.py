"""Names to specs, with a did-you-mean for the names nobody has."""

from __future__ import annotations

from pathlib import Path

from vitbench.catalog.files import load_families, load_targets, read_spec
from vitbench.catalog.names import ModelName, agree, base_name, format_resolution, parse_model_name
from vitbench.catalog.nearest import unknown
from vitbench.catalog.sized import named_variant, with_sized
from vitbench.catalog.sources import is_source, resolve_source
from vitbench.catalog.specs import (
    WITHOUT_KINDS,
    WITHOUT_UPSAMPLING,
    FamilySpec,
    ModelSpec,
    TargetSpec,
    VariantSpec,
)
from vitbench.errors import UsageError

# Parts of a network that can be asked for; the plain variant of one with a decoder is its encoder.
PARTS = ("encoder", "decoder", "backbone")
ENCODER_TASKS = ("sam",)


def model_names() -> list[str]:
    """Every model name, without kinds, forms and resolutions."""
    return [
        base_name(family, variant) for family, spec in load_families().items() for variant in spec.variants
    ]


def find_variant(family: str, variant: str) -> tuple[FamilySpec, VariantSpec]:
    """The family and variant of these names; a family of sizes has a variant for any of them.

    Raises:
        UsageError: no such family or variant.
    """
    found = load_families().get(family)
    if found is not None:
        found = with_sized(found, variant)
    if found is None or variant not in found.variants:
        raise unknown("model", base_name(family, variant), model_names(), "vitbench models")
    return found, found.variants[variant]


def resolve_model(
    name: str,
    *,
    resolution: tuple[int, int] | None = None,
    attention: str | None = None,
    upsample: str | None = None,
    part: str | None = None,
) -> ModelSpec:
    """Resolve a model name and options to a spec.

    Args:
        name: `family[-variant[-task]][+kind][@form][:HxW]`, or one of `vitbench.catalog.sources`.
        resolution: (height, width) in pixels; the published one when neither this nor the name says.
        attention: attention kind; the published one when neither says.
        upsample: way of upsampling; the published one when neither says.
        part: `decoder`, `backbone` or `encoder` of the network, where it has such a variant.

    Raises:
        UsageError: an unknown name, kind, form or part, an unusable resolution, or an option that
            contradicts the name's suffix.
    """
    if is_source(name):
        return resolve_source(
            name, resolution=resolution, choices={"attention": attention, "upsample": upsample, "part": part}
        )
    parsed = parse_model_name(name)
    named = named_variant(load_families().get(parsed.family), parsed.variant)
    family, _ = find_variant(parsed.family, named)
    chosen = _part(family, name, named, part) if part else named
    variant = family.variants[chosen]
    default, kind, default_way, way = _kinds(family, variant, parsed, name, attention, upsample)
    form = parsed.form or "deploy"
    if form not in family.forms:
        raise unknown(f"form of {family.family}", form, family.forms, _listing(parsed))
    size = agree("--resolution", name, parsed.resolution, resolution) or variant.resolution
    stride = variant.stride or family.stride
    _check_resolution(name, size, stride)
    return ModelSpec(
        family=parsed.family,
        variant=chosen,
        builder=variant.builder or family.builder,
        task=variant.task,
        hyper=variant.hyper,
        attention=kind,
        default_attention=default,
        upsample=way,
        default_upsample=default_way,
        form=form,
        resolution=size,
        stride=stride,
        channels=variant.channels,
        inputs=variant.inputs,
    )


def _listing(parsed: ModelName) -> str:
    return f"vitbench models show {base_name(parsed.family, parsed.variant)}"


def _kinds(
    family: FamilySpec,
    variant: VariantSpec,
    parsed: ModelName,
    name: str,
    attention: str | None,
    upsample: str | None,
) -> tuple[str | None, str | None, str | None, str | None]:
    """The published attention, the one asked for, the published way of upsampling, the one asked for."""
    kinds = () if variant.task in WITHOUT_KINDS else family.attention
    ways = () if variant.task in WITHOUT_UPSAMPLING else family.upsample
    named: dict[str, str] = {}
    for kind in parsed.kinds:
        known = (*family.attention, *family.upsample)
        if kind not in known:
            raise unknown(f"kind of {family.family}", kind, known, _listing(parsed))
        what = "attention" if kind in family.attention else "upsample"
        if named.setdefault(what, kind) != kind:
            raise UsageError(
                f"'{name}' names two kinds that exclude each other", f"drop +{kind} or the other"
            )
    asked = {
        "attention": agree("--attention", name, named.get("attention"), attention),
        "upsample": agree("--upsample", name, named.get("upsample"), upsample),
    }
    what_is = {"attention": "attention kind", "upsample": "way of upsampling"}
    for (what, choice), offered in zip(asked.items(), (kinds, ways), strict=True):
        if choice is None:
            continue
        if not offered:
            raise UsageError(
                f"'{name}' (task {variant.task}) has no {what_is[what]}, so '{choice}' means nothing",
                f"drop --{what} or the name's suffix",
            )
        if choice not in offered:
            raise unknown(f"{what_is[what]} of {family.family}", choice, offered, _listing(parsed))
    default, default_way = (kinds[0] if kinds else None), (ways[0] if ways else None)
    return default, asked["attention"] or default, default_way, asked["upsample"] or default_way


def parts_of(spec: ModelSpec) -> list[str]:
    """Parts of a network that `--part` can name; of a part, those of its whole."""
    family, _ = find_variant(spec.family, spec.variant)
    own = _own_part(spec.variant)
    whole = spec.variant.removesuffix(f"-{own}") if own else spec.variant
    return sorted(_parts(family, whole)) if whole in family.variants else []


def _own_part(variant: str) -> str | None:
    return next((each for each in PARTS if variant.endswith(f"-{each}")), None)


def _parts(family: FamilySpec, variant: str) -> dict[str, str]:
    """The variants that are parts of one, by part."""
    there = {each: f"{variant}-{each}" for each in PARTS if f"{variant}-{each}" in family.variants}
    if "decoder" in there or family.variants[variant].task in ENCODER_TASKS:
        there["encoder"] = variant
    return there


def _part(family: FamilySpec, name: str, variant: str, part: str) -> str:
    """The variant that is a part of another one."""
    own = _own_part(variant)
    if own is not None:
        agree("--part", name, own, part)
        return variant
    there = _parts(family, variant)
    if part not in there:
        offered = f"its parts are {', '.join(sorted(there))}" if there else "it can only be had as a whole"
        raise UsageError(f"{name} has no part '{part}'", offered)
    return there[part]


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
