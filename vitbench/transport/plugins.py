"""Classes by name: the built-in ones first, then those that installed packages offer."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from vitbench.errors import UsageError


def find(group: str, name: str, builtin: Mapping[str, str]) -> Any | None:
    """Look a class up by name; None if nobody has it.

    Args:
        group: entry point group, such as "vitbench.transports".
        name: what the target's file says.
        builtin: name to "module:attribute"; imported only when asked for.

    Raises:
        UsageError: an installed package offers the name but it cannot be imported.
    """
    if name in builtin:
        module, _, attribute = builtin[name].partition(":")
        return getattr(import_module(module), attribute)
    for point in entry_points(group=group, name=name):
        try:
            return point.load()
        except Exception as error:  # somebody else's code
            raise UsageError(
                f"'{name}' of entry point group {group} cannot be loaded from {point.value}: {error}",
                "repair or uninstall the package that offers it",
            ) from error
    return None


def names(group: str, builtin: Mapping[str, str]) -> list[str]:
    """Every name there is in a group, sorted."""
    return sorted({*builtin, *(point.name for point in entry_points(group=group))})
