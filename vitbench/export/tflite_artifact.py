"""An artifact's graph in TFLite: converted in a process of its own, counted, and described."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import torch

import vitbench
from vitbench import counting
from vitbench.counting.tflite import TfliteGraph, count_tflite
from vitbench.errors import ToolError, UsageError, VitbenchError
from vitbench.export import formats
from vitbench.export.built import Job, Written
from vitbench.export.manifest import InputEntry, TensorEntry
from vitbench.export.tflite_child import Answer, Request
from vitbench.records.schema import Counts, GraphFacts

TIMEOUT_S = 3600.0
CHILD = ("-m", "vitbench.export.tflite_child")
PACKAGE_ROOT = Path(vitbench.__file__).parents[1]
TAIL_LINES = 20


def write(job: Job) -> Written:
    """Convert the network of a job, and count what came out.

    Raises:
        ToolError: the converter failed.
        UsageError: a precision that is not written.
        UnsupportedOperators: the graph has an operator without a known cost.
        VitbenchError: the graph does not compute as much as the module does.
    """
    workload, path = job.workload, job.directory / formats.model_file("tflite")
    if workload.precision != "fp32":
        raise UsageError(f"TFLite files are written in fp32, not {workload.precision}", "drop --precision")
    job.on_stage(f"converting {workload.label} to TFLite")
    path.parent.mkdir()
    answer = _convert(job, path)
    job.on_stage(f"counting {workload.label}")
    graph = count_tflite(path)
    return Written(
        exporter=f"torch {torch.__version__}, litert-torch {version('litert-torch')}",
        opset=None,
        inputs=tuple(
            InputEntry(name=each.name, dtype=each.dtype, shape=each.shape, values=each.values)
            for each in workload.inputs
        ),
        outputs=_outputs(job, answer),
        counts=_count(job, graph),
        nodes=len(graph.nodes),
        export_s=round(answer.seconds, 3),
        graph=GraphFacts(
            operators=graph.operators,
            transposes=graph.operators.get("TRANSPOSE", 0),
            partitions=len(answer.partitions),
            outside=graph.outside((each.inputs, each.outputs) for each in answer.partitions),
            layout="NCHW" if workload.inputs[0].is_map else None,
        ),
    )


def _convert(job: Job, path: Path) -> Answer:
    with tempfile.TemporaryDirectory(prefix="vitbench-tflite-") as scratch:
        request = Request(
            workload=job.workload,
            weights_file=job.weights_file,
            formulation=dict(job.formulation) if job.formulation else None,
            path=path,
            answer=Path(scratch, "answer.json"),
        )
        label = f"litert-torch {version('litert-torch')}"
        try:
            done = subprocess.run(
                [sys.executable, "-P", *CHILD],
                env=os.environ | {"PYTHONPATH": str(PACKAGE_ROOT), "TF_CPP_MIN_LOG_LEVEL": "2"},
                input=request.model_dump_json().encode(),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ToolError(f"{label} did not convert {job.workload.label} in {TIMEOUT_S:g} s") from None
        if done.returncode or not request.answer.is_file():
            raise _failure(f"{label} cannot convert {job.workload.label}", done)
        return Answer.model_validate_json(request.answer.read_bytes())


def _failure(message: str, done: subprocess.CompletedProcess[bytes]) -> ToolError:
    """What the converter says: the last line of a traceback names the operator, where one is at fault."""
    lines = [line.rstrip() for line in done.stdout.decode(errors="replace").splitlines() if line.strip()]
    if done.returncode < 0:
        reason = f"it was ended by signal {-done.returncode}"
        hint = "signal 9 is often a lack of memory: choose a smaller resolution"
    else:
        reason = next((line for line in reversed(lines) if line[0] not in " \t"), "it said nothing")
        hint = "the last lines are the converter's own"
    return ToolError(f"{message}: {reason[:300]}", hint, tail="\n".join(lines[-TAIL_LINES:]))


def _outputs(job: Job, answer: Answer) -> tuple[TensorEntry, ...]:
    """The outputs in the order of the network."""
    found = {each.name: each for each in answer.outputs}
    names: tuple[str, ...] = job.network.output_names  # type: ignore[assignment]
    if set(found) != set(names):
        raise VitbenchError(f"the TFLite graph gives {sorted(found)}, not {sorted(names)}")
    return tuple(found[name] for name in names)


def _count(job: Job, graph: TfliteGraph) -> Counts:
    """Counts of the model, and of the graph that runs; its MACs are those of the module."""
    module = counting.count_module(job.network, job.workload.inputs, folded=True)
    for what in ("macs", "macs_attention"):
        first, second = getattr(module, what), getattr(graph, what)
        if first != second:
            raise VitbenchError(
                f"the counters disagree on {what} of {job.workload.label}: "
                f"{first:,} in the module, {second:,} in the TFLite graph"
            )
    model = job.counts
    return Counts(
        params=model.params,
        params_deploy=model.params_deploy,
        macs=model.macs,
        macs_attention=model.macs_attention,
        macs_artifact=graph.macs,
        bytes_read=module.bytes_read,
        bytes_written=module.bytes_written,
    )
