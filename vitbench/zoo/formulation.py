"""A function of the input that can be computed in several ways."""

from __future__ import annotations

from torch import nn

from vitbench.errors import UsageError


class Formulated(nn.Module):
    """Base of modules whose value is one and whose graph is a choice.

    The formulations of a kind have the same parameters and the same value, and differ in the graph that an
    exporter sees.

    Attributes:
        kind: name of the function.
        formulations: names of the ways to compute it, textbook first.
        fast: the way that the inference form uses.
    """

    kind: str
    formulations: tuple[str, ...]
    fast: str

    def __init__(self) -> None:
        super().__init__()
        self._formulation = self.formulations[0]

    @property
    def formulation(self) -> str:
        """How the value is computed."""
        return self._formulation

    @formulation.setter
    def formulation(self, name: str) -> None:
        if name not in self.formulations:
            raise UsageError(
                f"'{self.kind}' has no formulation '{name}'", f"choose one of {', '.join(self.formulations)}"
            )
        self._formulation = name
