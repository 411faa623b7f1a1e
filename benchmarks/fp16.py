"""Can a network of the catalog overflow in half precision, and in which types does it run?

Each network at its default resolution, which is the largest that is measured, with both exporters: nodes and
islands of the graph, the types in which tensorrt-rtx runs its layers and how long it builds, and what the
graph computes when every half tensor is rounded as half rounds (`fp16-emulated`), against fp32 PyTorch.

Seeded weights keep activations near 1. Trained networks have tens to hundreds where attention and norms read,
so one more input is scaled until the largest magnitude that goes into an island is about 100, or that of what
a softmax reads is about 20, whichever comes first: behind that, a softmax chooses one key.

One process for each network, one after the other; a network that is recorded is not run again, so the sweep
may be stopped and started again.

    python -m benchmarks.fp16 [--results results/fp16] [--model 'effvit-*' ...] [--table-only]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np

from vitbench import catalog
from vitbench.catalog import Workload
from vitbench.errors import VitbenchError

ENTRY, LOGITS = 100.0, 20.0
LARGEST_SCALE = 1000.0
CELL_LIMIT_S = 5400
MEMORY_LIMIT_BYTES = 15_000_000_000
# What is left of a graph without its islands must be caught: linear attention, and a norm of a SAM encoder.
WITHOUT = ("effvit-b1-cityscapes", "effvit-sam-l0")
SUFFIX = " without islands"
# Softmax attention in the place of linear attention, whose products stay in half.
VARIANTS = tuple(
    f"effvit-b1+{kind}" for kind in ("softmax", "relu-single", "sra-softmax", "window-softmax", "cga")
)


def cells(patterns: Sequence[str]) -> list[str]:
    """Networks whose name fits a pattern, those with the fewest MACs first, then those without islands."""
    from vitbench.counting import count_model

    known = [*catalog.model_names(), *VARIANTS]
    names = [name for name in known if any(fnmatchcase(name, each) for each in patterns)]
    names.sort(key=lambda name: count_model(catalog.resolve_model(name)).macs)
    return [*names, *(f"{name}{SUFFIX}" for name in WITHOUT if name in names)]


def examine(cell: str) -> dict[str, Any]:
    """Everything that is recorded of one network."""
    import torch

    from vitbench.export import ArtifactCache, get_artifact, networks
    from vitbench.export.onnx import export_onnx
    from vitbench.export.onnx17 import export_onnx17

    torch.set_num_threads(2)
    name = cell.removesuffix(SUFFIX)
    spec = catalog.resolve_model(name)
    workload = Workload(model=spec, precision="fp16")
    cache = ArtifactCache().throwaway()  # its files last as long as it does
    # The reference outputs serve every graph of the network.
    artifact = get_artifact(workload, cache, target_runtime="fp16", runtime_version="1")
    network = networks.make_running(networks.make_reference(workload, None), workload, None)
    reference = Reference(network, workload)
    found: dict[str, Any] = {"model": cell, "resolution": list(spec.resolution), "graphs": {}}
    exporters: dict[str, Callable[..., Any]] = {"onnx": export_onnx, "onnx17": export_onnx17}
    for format_name, export in exporters.items():
        with tempfile.TemporaryDirectory(prefix="vitbench-fp16-") as scratch, _islands(cell == name):
            path = Path(scratch) / "model.onnx"
            half = networks.make_running(networks.make_reference(workload, None), workload, None)
            for part in half.modules():
                if cell != name and hasattr(part, "sums_pixels"):
                    part.sums_pixels = False
            begun = time.monotonic()
            export(half.to(torch.float16), workload.inputs, path, dtype=torch.float16)
            del half
            found["graphs"][format_name] = {
                "export_s": round(time.monotonic() - begun, 1),
                **of_graph(path),
                "parity": of_parity(artifact, path),
                "realistic": of_realistic(path, reference),
            }
    found["peak_memory_gb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 1)
    return found


@contextmanager
def _islands(kept: bool) -> Iterator[None]:
    """Networks made inside have their islands, or, where these are not kept, none."""
    from vitbench.zoo import wide

    before = wide.wide
    try:
        if not kept:
            wide.wide = lambda x: x
        yield
    finally:
        wide.wide = before


class Reference:
    """What fp32 PyTorch makes of a first image that is scaled."""

    def __init__(self, network: Any, workload: Workload) -> None:
        self._network, self.inputs = network, workload.inputs

    def made(self, scale: float) -> dict[str, Any]:
        """Inputs; only what is drawn from the normal distribution is scaled."""
        from vitbench.export.inputs import made_inputs

        (made,) = made_inputs(self.inputs, 1)
        scaled = {each.name for each in self.inputs if each.values == "normal"}
        return {
            name: values * np.float32(scale) if name in scaled else values for name, values in made.items()
        }

    def outputs(self, made: Mapping[str, Any]) -> dict[str, Any]:
        """Outputs by name."""
        import torch

        with torch.inference_mode():
            found = self._network(*(torch.from_numpy(values) for values in made.values()))
        tensors = (found,) if isinstance(found, torch.Tensor) else found
        return {name: each.numpy() for name, each in zip(self._network.output_names, tensors, strict=True)}


def of_graph(path: Path) -> dict[str, Any]:
    """Nodes, islands and what tensorrt-rtx says of a graph."""
    import onnx

    from vitbench.export import layer_types
    from vitbench.export.islands import island_nodes

    model = onnx.load(path, load_external_data=False)
    found: dict[str, Any] = {
        "opset": model.opset_import[0].version,
        "nodes": len(model.graph.node),
        "islands": len(island_nodes(path)),
    }
    try:
        layers = layer_types.inspect(path)
        found["layers"] = layer_types.count_types(layers)
        layer_types.check_types(layers)
        found["types"] = "right"
    except VitbenchError as error:
        found["types"] = error.message
    begun = time.monotonic()
    try:
        found["engine_bytes"] = layer_types.build(path)
        found["build_s"] = round(time.monotonic() - begun, 1)
    except VitbenchError as error:
        found["build_problem"] = error.explain()
    return found


def of_parity(artifact: Any, path: Path) -> dict[str, Any]:
    """The comparison that a run makes, emulated."""
    from vitbench.export import parity
    from vitbench.runtime.fp16_emulated import emulated_checker

    begun = time.monotonic()
    with emulated_checker(path) as session:
        verdict = parity.check(artifact, session)
    return {**_told(verdict), "inputs": verdict.inputs, "seconds": round(time.monotonic() - begun, 1)}


def of_realistic(path: Path, reference: Reference) -> dict[str, Any]:
    """The comparison on one image with activations at the scale of a trained network."""
    import onnx

    from vitbench.export import parity, rounding
    from vitbench.runtime.fp16_emulated import EmulatedSession

    model = onnx.load(path, load_external_data=False)
    entries, logits = rounding.island_entries(model), rounding.softmax_inputs(model)
    types = {tensor.name: tensor.type.tensor_type.elem_type for tensor in model.graph.input}
    scale, peaks = 1.0, {"entry": 0.0, "logits": 0.0}
    for step in range(2):
        session = EmulatedSession(path, [*dict.fromkeys([*entries, *logits])])
        made = reference.made(scale)
        halves = {
            name: values.astype(onnx.helper.tensor_dtype_to_np_dtype(types[name]))
            for name, values in made.items()
        }
        outputs = session.run(halves)
        peaks = {
            kind: max((session.peaks[name] for name in names), default=0.0)
            for kind, names in (("entry", entries), ("logits", logits))
        }
        if step == 0:
            limits = [
                limit / peaks[kind] for kind, limit in (("entry", ENTRY), ("logits", LOGITS)) if peaks[kind]
            ]
            scale = float(np.clip(min(limits, default=1.0), 1.0, LARGEST_SCALE)) if limits else ENTRY / 5
    verdict = parity.compare([(reference.outputs(made), outputs)], "fp16")
    return {
        "scale": round(scale, 2),
        **{kind: round(value, 2) for kind, value in peaks.items()},
        **_told(verdict),
    }


def _told(verdict: Any) -> dict[str, Any]:
    return {
        "passed": verdict.passed,
        "finite": verdict.finite,
        "max_diff": verdict.max_diff,
        "cosine": verdict.cosine if verdict.finite else None,
        "reason": verdict.reason,
    }


def _in_a_process(cell: str, target: Path) -> None:
    """Examine one network and write what was found; runs in a process of its own."""
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))
    try:
        found = examine(cell)
    except VitbenchError as error:
        found = {"model": cell, "problem": error.explain()}
    except Exception:  # the sweep goes on with the next network
        found = {"model": cell, "problem": traceback.format_exc(limit=-3)}
    _write(target, found)


def _write(target: Path, found: Mapping[str, Any]) -> None:
    fresh = target.with_suffix(".tmp")
    fresh.write_text(json.dumps(found, indent=1) + "\n")
    fresh.replace(target)


def sweep(chosen: Sequence[str], results: Path) -> None:
    """Examine what is not recorded yet."""
    results.mkdir(parents=True, exist_ok=True)
    spawn = multiprocessing.get_context("spawn")
    for cell in chosen:
        target = results / f"{cell.replace(' ', '-')}.json"
        if target.exists():
            continue
        begun = time.monotonic()
        process = spawn.Process(target=_in_a_process, args=(cell, target))
        process.start()
        process.join(CELL_LIMIT_S)
        if process.exitcode is None:
            process.kill()
            process.join()
        if not target.exists():
            _write(
                target, {"model": cell, "problem": f"ended with {process.exitcode} within {CELL_LIMIT_S} s"}
            )
        print(f"{cell}: {time.monotonic() - begun:.0f} s", flush=True)
        (results.parent / f"{results.name}.md").write_text(table(results))


COLUMNS = (
    *("model", "HxW", "opset", "nodes", "islands", "convolutions", "products", "other FLOAT", "types"),
    *("build s", "engine MB", "max_diff", "cosine", "scale", "entry", "logits"),
    *("max_diff at scale", "cosine at scale", "verdict"),
)
LEGEND = """
tensorrt-rtx 1.7.1 (layer types, builds for SM86) and fp16-emulated (parity against fp32 PyTorch)

`convolutions` and `products` count layers in HALF / FLOAT. `max_diff` and `cosine` are the worst of the
seeded images and the one that drives a normaliser to zero. At `scale`, one image is scaled until what goes
into islands (`entry`) peaks near 100, or what a softmax reads (`logits`) near 20. Nothing was run on a GPU,
so nothing here says how fast these graphs are.
"""


def table(results: Path) -> str:
    """Markdown of everything that is recorded."""
    rows, problems = [], []
    for path in sorted(results.glob("*.json")):
        found = json.loads(path.read_text())
        if "problem" in found:
            problems.append(f"- `{found['model']}`: {found['problem'].splitlines()[-1]}")
        for graph in found.get("graphs", {}).values():
            rows.append(_row(found, graph))
    lines = [
        LEGEND.strip(),
        "",
        f"| {' | '.join(COLUMNS)} |",
        f"|{' :--- |' * 2}{' ---: |' * (len(COLUMNS) - 3)} :--- |",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]
    return "\n".join([*lines, *(["", *problems] if problems else [])]) + "\n"


def _row(found: Mapping[str, Any], graph: Mapping[str, Any]) -> list[str]:
    layers = dict(graph.get("layers", {}))
    convolutions = _both(layers.pop("CONVOLUTION", {}), layers.pop("DECONVOLUTION", {}))
    products = _both(layers.pop("MATRIX_MULTIPLY", {}))
    other = sum(kinds.get("FLOAT", 0) for kinds in layers.values())
    parity, scaled = graph["parity"], graph["realistic"]
    failures = [each["reason"] for each in (parity, scaled) if not each["passed"]]
    if graph["types"] != "right":
        failures.append("types")
    if "build_problem" in graph:
        failures.append("no engine")
    return [
        f"`{found['model']}`",
        "x".join(str(side) for side in found["resolution"]),
        str(graph["opset"]),
        str(graph["nodes"]),
        str(graph["islands"]),
        convolutions,
        products,
        str(other),
        "right" if graph["types"] == "right" else "wrong",
        str(graph.get("build_s", "")),
        f"{graph['engine_bytes'] / 1e6:.1f}" if "engine_bytes" in graph else "",
        _figure(parity["max_diff"], ".1e"),
        _figure(parity["cosine"], ".6f"),
        f"{scaled['scale']:.3g}",
        f"{scaled['entry']:.3g}",
        f"{scaled['logits']:.3g}" if scaled["logits"] else "",
        _figure(scaled["max_diff"], ".1e"),
        _figure(scaled["cosine"], ".6f"),
        "; ".join(dict.fromkeys(failures)) or "passed",
    ]


def _both(*kinds: Mapping[str, int]) -> str:
    return " / ".join(str(sum(each.get(kind, 0) for each in kinds)) for kind in ("HALF", "FLOAT"))


def _figure(value: float | None, spec: str) -> str:
    return "" if value is None else format(value, spec)


def main(arguments: Sequence[str] | None = None) -> int:
    """Examine what is missing, and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", default="results/fp16", help="where the records are")
    parser.add_argument("--model", nargs="+", default=["*"], help="names or patterns (default: all)")
    parser.add_argument("--table-only", action="store_true", help="write the table of what is recorded")
    options = parser.parse_args(arguments)
    results = Path(options.results)
    if not options.table_only:
        sweep(cells(options.model), results)
    (results.parent / f"{results.name}.md").write_text(table(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
