"""ONNX Runtime in this process, in the place of an agent session."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from vitbench.runtime.tensors import TensorFile, write_tensor


def open_model(path: Path) -> Any:
    """Session with one thread."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def run(path: Path, values: NDArray[Any]) -> NDArray[Any]:
    """The one output of a model for its input."""
    (output,) = open_model(path).run(None, {"input": values})
    return np.asarray(output)


class OrtSession:
    """`outputs` as an agent session has it."""

    def __init__(self, path: Path) -> None:
        self._session = open_model(path)

    def outputs(self, inputs: Sequence[Sequence[TensorFile]], out_dir: Path) -> list[list[TensorFile]]:
        """Run on each set of inputs and write what comes out."""
        names = [output.name for output in self._session.get_outputs()]
        answers = []
        for number, group in enumerate(inputs):
            found = self._session.run(names, {tensor.name: tensor.read() for tensor in group})
            answers.append(
                [
                    write_tensor(name, values, out_dir / f"{number}-{name}.bin")
                    for name, values in zip(names, found, strict=True)
                ]
            )
        return answers
