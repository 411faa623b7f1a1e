"""Networks as artifacts that a runtime reads: export, parity and the content-addressed cache.

Importing this package imports no torch, onnx or numpy.
"""

from vitbench.export.artifact import get_artifact
from vitbench.export.cache import Artifact, ArtifactCache, CacheEntry, Pruned, default_root

__all__ = ["Artifact", "ArtifactCache", "CacheEntry", "Pruned", "default_root", "get_artifact"]
