"""An ONNX file that was given, as an artifact: the file as it is, its counts and reference outputs."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx

from vitbench import counting
from vitbench.catalog.specs import Workload
from vitbench.errors import UsageError
from vitbench.export import formats
from vitbench.export.built import Built
from vitbench.export.inputs import Array, seeded_images
from vitbench.export.islands import island_nodes
from vitbench.export.manifest import InputEntry, TensorEntry, hash_file
from vitbench.export.reference import Referee, write_reference
from vitbench.records.schema import Counts

BUILDER = "onnx"
# Formats that an ONNX file is in already, with the highest opset that each may have.
ONNX_FORMATS = {"onnx": None, "onnx17": formats.OPSET_17}


def check_asked(workload: Workload, format_name: str, formulation: Mapping[str, str] | None) -> None:
    """Refuse what cannot be made of an ONNX file: another format, or another formulation.

    Raises:
        UsageError: one of them was asked for.
    """
    name = workload.model.name
    if format_name not in ONNX_FORMATS:
        raise UsageError(
            f"{name} is an ONNX file and cannot become {format_name}", "choose a target that runs ONNX"
        )
    if formulation:
        raise UsageError(f"{name} can be computed in one way only", "name no formulation")


def place_given(workload: Workload, counts: counting.ModelCounts, directory: Path, format_name: str) -> Built:
    """Copy the file of a workload into an artifact's directory, and compute its reference outputs.

    These come from ONNX Runtime with every graph optimisation disabled: nothing else says what the file
    computes, and what its optimisations change is what the comparison is to see.

    Raises:
        UsageError: the file changed, ONNX Runtime cannot run it, or it is asked for in
            another batch or precision than its own, or for a runtime that does not know its opset.
    """
    model, inputs = workload.model, workload.inputs
    if workload.batch != model.hyper["batch"]:
        raise UsageError(
            f"{model.name} is a graph for batch {model.hyper['batch']}, not {workload.batch}",
            f"give --batch {model.hyper['batch']}",
        )
    if workload.precision != model.hyper["precision"]:
        raise UsageError(
            f"{model.name} is a graph in {model.hyper['precision']}, not {workload.precision}",
            "drop --precision",
        )
    path = directory / formats.model_file("onnx")
    _copy(model.hyper, path)
    run = _Unoptimised(path, model.name)
    graph = onnx.load(path, load_external_data=False)
    opset = next((each.version for each in graph.opset_import if each.domain in ("", "ai.onnx")), None)
    limit = ONNX_FORMATS[format_name]
    if limit is not None and (opset is None or opset > limit):
        raise UsageError(
            f"{model.name} is a graph at opset {opset}, and the runtime knows none after {limit}",
            f"export it at opset {limit}: torch.onnx.export(..., opset_version={limit}, dynamo=False)",
        )
    referee = Referee("onnxruntime, unoptimised", f"unoptimised {model.name}", run, UsageError)
    images = seeded_images(counts.macs // workload.batch)
    parity = write_reference(referee, inputs, workload.batch, images, directory)
    producer = f"{graph.producer_name or 'nobody known'} {graph.producer_version}".strip()
    return Built(
        exporter=f"a file, written by {producer}",
        opset=opset,
        inputs=tuple(InputEntry(**dict(each)) for each in inputs),
        outputs=run.outputs,
        parity=parity,
        formulation={},
        counts=Counts(**{name: getattr(counts, name) for name in Counts.model_fields}),
        nodes=len(graph.graph.node),
        export_s=None,
        islands=island_nodes(path),
    )


def _copy(hyper: Mapping[str, Any], path: Path) -> None:
    """Copy the file, and the files beside it that hold its weights; each must be what was hashed."""
    source = Path(hyper["path"])
    external: Mapping[str, str] = hyper.get("external", {})
    if path.name in external:
        raise UsageError(f"{source} keeps weights in a file named {path.name}", "give that file another name")
    files = {source: (path, hyper["sha256"])}
    files |= {source.parent / name: (path.parent / name, digest) for name, digest in external.items()}
    for given, (copy, digest) in files.items():
        try:
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(given, copy)
        except FileNotFoundError as error:
            raise UsageError(f"cannot read {given}: {error.strerror}", "check the path") from error
        if hash_file(copy) != digest:
            raise UsageError(f"{given} changed while it was read", "run the command again")


class _Unoptimised:
    """ONNX Runtime with one thread and every graph optimisation disabled; `outputs` after the first run."""

    def __init__(self, path: Path, name: str) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        self._name = name
        self._session = self._guarded(
            lambda: onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        )
        self._outputs: tuple[TensorEntry, ...] = ()

    @property
    def outputs(self) -> tuple[TensorEntry, ...]:
        """What came out of the first run."""
        return self._outputs

    def __call__(self, made: Mapping[str, Array]) -> dict[str, Array]:
        names = [each.name for each in self._session.get_outputs()]
        types = {each.name: each.type for each in self._session.get_inputs()}
        feed = {name: _cast(values, types[name]) for name, values in made.items()}
        found = dict(zip(names, self._guarded(lambda: self._session.run(names, feed)), strict=True))
        for name, values in found.items():
            if not hasattr(values, "dtype"):
                raise UsageError(f"output '{name}' of {self._name} is no tensor", "give a network of tensors")
        self._outputs = self._outputs or tuple(
            TensorEntry(name=name, dtype=values.dtype.name, shape=values.shape)
            for name, values in found.items()
        )
        return found

    def _guarded(self, call: Any) -> Any:
        try:
            return call()
        except Exception as error:  # the runtime's own exceptions derive from nothing narrower
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise UsageError(
                f"ONNX Runtime cannot run {self._name}: {lines[0]}", "run it there by itself first"
            ) from error


def _cast(values: Array, kind: str) -> Array:
    """Values in the type of an input of ONNX Runtime; those of an integer one are zeros of it already."""
    floats = {"tensor(float16)": "float16", "tensor(double)": "float64"}
    return values.astype(floats[kind]) if kind in floats else values
