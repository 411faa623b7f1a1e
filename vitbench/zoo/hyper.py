"""Hyper-parameters of a network: validated before anything is built."""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import Field, ValidationError

from vitbench.catalog.specs import ModelSpec, Spec
from vitbench.errors import UsageError

H = TypeVar("H", bound=Spec)

# Bounded, so that a slip of the keyboard is refused instead of built.
Channels = Annotated[int, Field(strict=True, gt=0, le=2**20)]
Blocks = Annotated[int, Field(strict=True, ge=0, le=1000)]


def read_hyper(spec: ModelSpec, kinds: dict[str, type[H]]) -> H:
    """The validated hyper-parameters of a spec.

    Args:
        spec: whose `hyper` is read.
        kinds: what the builder takes, by task.

    Raises:
        UsageError: a task that the builder does not have, or a hyper-parameter that is missing, unknown or
            out of its range.
    """
    if spec.task not in kinds:
        raise UsageError(
            f"the {spec.builder} builder has no task '{spec.task}' (asked for by {spec.name})",
            f"its tasks are {' and '.join(kinds)}",
        )
    kind = kinds[spec.task]
    try:
        return kind.model_validate(spec.hyper)
    except ValidationError as error:
        problems = (_problem(item["loc"], item["msg"]) for item in error.errors())
        raise UsageError(
            f"hyper-parameters of {spec.name} do not fit the {spec.builder} builder; {'; '.join(problems)}",
            f"task '{spec.task}' takes {', '.join(kind.model_fields)}; correct `hyper` of the variant",
        ) from error


def check_attention(spec: ModelSpec, kind: str) -> None:
    """See that a spec asks for the one kind of attention that its builder has.

    Raises:
        UsageError: it asks for another one, or for none.
    """
    if spec.attention != kind:
        raise UsageError(
            f"{spec.name} asks for the attention {spec.attention}, "
            f"which the {spec.builder} builder does not have",
            f'its attention is "{kind}"',
        )


def _problem(place: tuple[int | str, ...], message: str) -> str:
    """One thing that does not fit; no place where it is about several hyper-parameters."""
    message = message.removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    return f"{'.'.join(map(str, place))}: {message}" if place else message
