"""Which layers of a network are its attention: of its modules, of its graph, and as a runtime names them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vitbench.catalog.specs import ModelSpec

Place = Literal["core", "projections", "elsewhere"]

# ONNX Runtime calls a convolution in its blocked layout after the tensor that it writes.
_BLOCKED = re.compile(r"_nchwc(_token_\d+)?$")
_FUSED_ACTIVATION = "fused "


def attention_modules(model: ModelSpec) -> tuple[str, ...] | None:
    """Paths of the attention modules in the form that runs; None for a network from elsewhere."""
    if model.from_elsewhere:
        return None
    import torch

    from vitbench import zoo
    from vitbench.zoo.attention import Attention
    from vitbench.zoo.deploy import in_form

    with torch.device("meta"):
        network = in_form(zoo.create(model), model.form)
    return tuple(name for name, part in network.named_modules() if isinstance(part, Attention))


@dataclass(frozen=True)
class GraphModules:
    """The module of every node of an exported graph, by the node's name and by the tensors that it writes."""

    nodes: Mapping[str, str]
    tensors: Mapping[str, str]

    @classmethod
    def read(cls, model_file: Path) -> GraphModules:
        """Read the graph of an artifact, whose nodes are called `<module>/<operator>`."""
        import onnx

        graph = onnx.load(model_file, load_external_data=False).graph
        return cls(
            nodes={node.name: _module(node.name) for node in graph.node},
            tensors={tensor: _module(node.name) for node in graph.node for tensor in node.output},
        )

    def module_of(self, layer: str) -> str | None:
        """Module of a layer as ONNX Runtime names it; None where its optimisations left nothing to tell by.

        A layer that was fused of several keeps the name of one, with that of the fusion behind it
        (`attention/MatMul/MatMulScaleFusion/`) or `fused` before it; a convolution in the blocked layout is
        called after the tensor that it writes (`conv2d_3_nchwc`), that of an activation which it was fused
        with. Changes of layout are nobody's.
        """
        name = layer.removeprefix(_FUSED_ACTIVATION)
        while name:
            if name in self.nodes:
                return self.nodes[name]
            name = name.rpartition("/")[0]
        tensor, blocked = _BLOCKED.subn("", layer)
        return self.tensors.get(tensor) if blocked else None


def _module(node: str) -> str:
    return node.rpartition("/")[0]


def place_of(module: str, attention: Sequence[str]) -> Place:
    """Where a module stands: it is an attention module (`core`), inside of one, or elsewhere."""
    if module in attention:
        return "core"
    inside = any(module.startswith(f"{path}.") for path in attention)
    return "projections" if inside else "elsewhere"
