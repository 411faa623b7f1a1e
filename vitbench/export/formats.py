"""Formats of an artifact's graph: the file that holds it, and what writes it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, cast

from vitbench.errors import UsageError

if TYPE_CHECKING:
    from vitbench.export.built import Writer


@dataclass(frozen=True)
class Format:
    """A format of graphs.

    Attributes:
        model_file: of the artifact's directory. What runs stands in a directory of its own, which is what
            travels to a device.
        module: whose function `write` writes it.
        exporter: what writes it, with what else decides its bytes.
        packages: whose versions decide its bytes.
    """

    model_file: str
    module: str
    exporter: dict[str, str | int]
    packages: tuple[str, ...]


# Opset 20 is the first with Gelu as one operator: written out in eight, EfficientViT-L1 takes a fifth longer.
OPSET = 20
# The last that TensorRT 8.5 and 8.6 know.
OPSET_17 = 17
FORMATS = {
    "onnx": Format(
        "model/model.onnx",
        "vitbench.export.onnx_artifact",
        {"name": "dynamo", "opset": OPSET},
        ("torch", "onnx", "onnx-ir", "onnxscript", "numpy"),
    ),
    "onnx17": Format(
        "model/model.onnx",
        "vitbench.export.onnx17_artifact",
        {"name": "torchscript", "opset": OPSET_17},
        ("torch", "onnx", "onnx-ir", "onnxscript", "numpy"),
    ),
    "tflite": Format(
        "model/model.tflite",
        "vitbench.export.tflite_artifact",
        {"name": "litert-torch"},
        ("torch", "litert-torch", "litert-converter", "ai-edge-litert", "numpy"),
    ),
    "aten": Format(
        "model/graph.json",
        "vitbench.export.torch_artifact",
        {"name": "torch.export", "graph": 1},
        ("torch", "numpy"),
    ),
}


def describe_exporter(name: str) -> dict[str, str | int]:
    """What writes a format, with the version of every package that decides its bytes.

    Raises:
        UsageError: one of them is not installed.
    """
    chosen = FORMATS[name]
    try:
        return chosen.exporter | {package: version(package) for package in chosen.packages}
    except PackageNotFoundError as missing:
        raise UsageError(
            f"{missing.name}, which writes {name} files, is not installed",
            f"pip install -c constraints.txt 'vitbench[{name}]'",
        ) from None


def model_file(name: str) -> str:
    """Path of a format's graph in an artifact's directory."""
    return FORMATS[name].model_file


def writer(name: str) -> Writer:
    """What writes a format, imported now."""
    return cast("Writer", import_module(FORMATS[name].module).write)
