"""Families whose variants are named by numbers: `attention-8x16` has 8 heads of 16 channels."""

from __future__ import annotations

import math
import re

from vitbench.catalog.names import DEFAULT
from vitbench.catalog.specs import FamilySpec

# Bounded, so that a product of them is a number that anything can hold.
_NUMBERS = re.compile(r"[1-9][0-9]{0,5}(?:x[1-9][0-9]{0,5})*")


def with_sized(family: FamilySpec, variant: str) -> FamilySpec:
    """A family with the variant of these numbers, `8x16`; as it is, where its variants are named otherwise.

    The numbers are the hyper-parameters that the family is sized by, and their product the channels of the
    map that comes in. A variant that the family does not list is else like the first that it does, without
    what was published of that.
    """
    if not family.sized_by or not _NUMBERS.fullmatch(variant):
        return family
    numbers = [int(number) for number in variant.split("x")]
    if len(numbers) != len(family.sized_by):
        return family
    like = family.variants.get(variant) or next(iter(family.variants.values())).model_copy(
        update={"published": ()}
    )
    hyper = like.hyper | dict(zip(family.sized_by, numbers, strict=True))
    sized = like.model_copy(update={"hyper": hyper, "channels": math.prod(numbers)})
    return family.model_copy(update={"variants": {**family.variants, variant: sized}})


def named_variant(family: FamilySpec | None, variant: str) -> str:
    """The variant that a name means: the first listed where it names none of a family of sizes."""
    if family is not None and family.sized_by and variant == DEFAULT:
        return next(iter(family.variants))
    return variant
