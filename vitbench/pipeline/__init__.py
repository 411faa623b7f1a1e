"""The one place that wires a measurement: catalog, export, transport, runtime, measure and records."""

from vitbench.pipeline.compare import Compared, compare
from vitbench.pipeline.export import export
from vitbench.pipeline.outcome import Failure, Outcome
from vitbench.pipeline.progress import Progress
from vitbench.pipeline.run import run

__all__ = ["Compared", "Failure", "Outcome", "Progress", "compare", "export", "run"]
