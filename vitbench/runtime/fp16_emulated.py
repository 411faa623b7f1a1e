"""What a graph in half precision computes, on a CPU: every half tensor rounded as half rounds.

ONNX Runtime runs such a graph in float32 on a CPU, in which nothing overflows; `export.rounding` tells how it
is made to. This is evidence about overflow and rounding, not about a device's kernels or speed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitbench.errors import ToolError, VitbenchError
from vitbench.runtime.tensors import TensorFile, write_tensor

if TYPE_CHECKING:
    import onnx

NAME = "fp16-emulated"
# For records: who says what such a graph computes, where no device was asked.
CHECKED_BY = "fp16 emulation on the host"


class EmulatedSession:
    """A graph with its half tensors rounded, loaded in this process.

    Args:
        model: the graph, typed; weights in a file of their own lie beside it.
        watched: tensors typed half whose largest magnitude is kept in `peaks`.

    Raises:
        ToolError: ONNX Runtime cannot load it.
        UsageError: the graph has branches or functions.
        VitbenchError: ONNX Runtime does not round.
    """

    def __init__(self, model: Path, watched: Sequence[str] = ()) -> None:
        import onnx

        from vitbench.export.rounding import peak_name, rounding_graph

        _prove_rounding()
        given = onnx.load(model, load_external_data=False)
        self._names = [tensor.name for tensor in given.graph.output]
        self._peaks = {peak_name(name): name for name in watched}
        self._session = _load(rounding_graph(given, watched), model.parent)
        self.peaks: dict[str, float] = {}

    def outputs(self, inputs: Sequence[Sequence[TensorFile]], out_dir: Path) -> list[list[TensorFile]]:
        """Outputs for each set of inputs, as files in `out_dir`.

        Raises:
            ToolError: ONNX Runtime failed.
            UsageError: a file does not hold its tensor.
        """
        answers = []
        for number, group in enumerate(inputs):
            found = self.run({tensor.name: tensor.read() for tensor in group})
            answers.append(
                [
                    write_tensor(name, values, out_dir / f"{number}-output-{position}.bin")
                    for position, (name, values) in enumerate(found.items())
                ]
            )
        return answers

    def run(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Outputs by name, in the graph's own types, for arrays by name; `peaks` grow.

        Raises:
            ToolError: ONNX Runtime failed.
        """
        try:
            found = self._session.run([*self._names, *self._peaks], inputs)
        except Exception as error:  # its errors have no common type
            raise ToolError("ONNX Runtime failed while it emulated fp16", tail=str(error)) from error
        for tensor, peak in zip(self._peaks.values(), found[len(self._names) :], strict=True):
            self.peaks[tensor] = max(float(peak), self.peaks.get(tensor, 0.0))
        return dict(zip(self._names, found[: len(self._names)], strict=True))


@contextmanager
def emulated_checker(model: Path) -> Iterator[EmulatedSession]:
    """What `parity.check` runs an artifact in, on this machine.

    Raises:
        ToolError, UsageError, VitbenchError: as `EmulatedSession`.
    """
    yield EmulatedSession(model)


def _load(model: onnx.ModelProto, directory: Path) -> Any:
    """Session without graph optimisations, weights in files of a directory."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    options.log_severity_level = 3
    options.enable_cpu_mem_arena = False  # it keeps several times of what is in use
    options.enable_mem_pattern = False
    # Node by node as they stand: the default order leaves peaks for the end, and keeps what they are of.
    options.execution_order = ort.ExecutionOrder.PRIORITY_BASED
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(directory))
    try:
        return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no common type
        raise ToolError("ONNX Runtime cannot load a graph for fp16 emulation", tail=str(error)) from error


@cache
def _prove_rounding() -> None:
    """See 250 x 300 become infinite, and stay so when it is scaled down again.

    ONNX Runtime removes pairs of casts that it takes for needless, optimisations disabled or not; another
    version may take these for such.

    Raises:
        VitbenchError: it does not become infinite.
    """
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    from vitbench.export.rounding import rounding_graph

    half, shape = TensorProto.FLOAT16, [3]
    constants = [
        numpy_helper.from_array(np.asarray(value, np.float16), name)
        for name, value in (("a", 300), ("b", 1 / 300))
    ]
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "a"], ["large"]), helper.make_node("Mul", ["large", "b"], ["y"])],
        "scaled",
        [helper.make_tensor_value_info("x", half, shape)],
        [helper.make_tensor_value_info("y", half, shape)],
        constants,
        value_info=[helper.make_tensor_value_info("large", half, shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = _load(rounding_graph(model), Path())
    (found,) = session.run(None, {"x": np.asarray([1, 250, -250], np.float16)})
    if not (np.isfinite(found[0]) and np.isposinf(found[1]) and np.isneginf(found[2])):
        raise VitbenchError(
            f"ONNX Runtime does not round: 250 x 300 / 300 in half precision came back as {found[1]}",
            "install the version that constraints.txt names",
        )
