"""An artifact's graph in ONNX: written, counted, and described for the manifest."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import onnx
import torch
from torch import nn

from vitbench import counting
from vitbench.catalog.specs import Workload
from vitbench.errors import UsageError, VitbenchError
from vitbench.export import formats
from vitbench.export.built import Job, Written
from vitbench.export.islands import island_nodes
from vitbench.export.manifest import InputEntry, TensorEntry
from vitbench.export.onnx import export_onnx
from vitbench.export.onnx_graph import shape_of
from vitbench.records.schema import Counts

# PyTorch and the exporter each make a copy of some view that the other does without.
TRAFFIC_TOLERANCE = 0.05
_DTYPES = {"fp32": torch.float32, "fp16": torch.float16}


def write(job: Job) -> Written:
    """Write and count the graph of a network.

    Raises:
        ToolError: the exporter failed.
        UsageError, UnsupportedOperators, VitbenchError: as `count_graph`.
    """
    exporter = f"torch {torch.__version__} dynamo, onnxscript {version('onnxscript')}"
    return write_with(export_onnx, job, exporter=exporter, opset=formats.OPSET)


def write_with(export: Callable[..., onnx.ModelProto], job: Job, *, exporter: str, opset: int) -> Written:
    """Write and count the graph of a network by one of the exporters, and describe it for the manifest.

    Args:
        export: called with the network, its inputs, the file and their type.
        exporter: what it is called in the manifest.
        opset: that it writes.
    """
    workload, path = job.workload, job.directory / formats.model_file("onnx")
    job.on_stage(f"exporting {workload.label} to ONNX at opset {opset}")
    path.parent.mkdir()
    dtype = _DTYPES[workload.precision]
    begun = time.monotonic()
    graph = export(job.network.to(dtype), workload.inputs, path, dtype=dtype).graph
    export_s = time.monotonic() - begun
    job.on_stage(f"counting {workload.label}")
    return Written(
        exporter=exporter,
        opset=opset,
        inputs=tuple(
            InputEntry(**dict(_describe(tensor)), values=made.values)
            for tensor, made in zip(graph.input, workload.inputs, strict=True)
        ),
        outputs=tuple(_describe(tensor) for tensor in graph.output),
        counts=count_graph(workload, job.counts, job.network, path),
        nodes=len(graph.node),
        export_s=round(export_s, 3),
        islands=island_nodes(path),
    )


def count_graph(workload: Workload, model: counting.ModelCounts, running: nn.Module, path: Path) -> Counts:
    """Counts of the model and of what runs; the module and its graph are counted apart and must agree.

    Their MACs are equal, and their traffic is within 5 %. A network from elsewhere may use anything, much of
    which the exporter writes as several operators: its traffic is that of the graph.

    Raises:
        UsageError: a network from elsewhere computes what it does not return.
        UnsupportedOperators: the graph has an operator without a known cost.
        VitbenchError: they do not agree for another reason.
    """
    module = counting.count_module(running, workload.inputs, folded=True)
    with counting.told_to_users(workload.model):
        graph = counting.count_onnx(path)
    elsewhere = workload.model.from_elsewhere
    for what in ("macs", "macs_attention", *(() if elsewhere else ("bytes_read", "bytes_written"))):
        tolerance = TRAFFIC_TOLERANCE if what.startswith("bytes") else 0
        first, second = getattr(module, what), getattr(graph, what)
        if abs(second - first) > tolerance * first:
            by = f" by more than {tolerance:.0%}" if tolerance else ""
            disagreement = (
                f"the counters disagree on {what} of {workload.label}{by}: "
                f"{first:,} in the module, {second:,} in the exported graph"
            )
            if elsewhere and second < first:
                raise UsageError(
                    disagreement,
                    "the graph leaves out what no output depends on: return it, or do not compute it",
                )
            raise VitbenchError(disagreement)
    return Counts(
        params=model.params,
        params_deploy=model.params_deploy,
        macs=model.macs,
        macs_attention=model.macs_attention,
        macs_artifact=graph.macs,
        bytes_read=graph.bytes_read if elsewhere else module.bytes_read,
        bytes_written=graph.bytes_written if elsewhere else module.bytes_written,
    )


def _describe(tensor: onnx.ValueInfoProto) -> TensorEntry:
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.type.tensor_type.elem_type)
    return TensorEntry(name=tensor.name, dtype=dtype.name, shape=shape_of(tensor))
