"""A stand-in for `trtexec`: flags, log and files of a chosen version; outputs by ONNX Runtime.

`install` writes it as a program that needs nothing of this repository. It is an imitation: no time it tells
is measured. Variables of its environment:

    TRT_VERSION  as a banner has it: 8501, 8601, 100300 (default), 101600, 110100, ...
    TRT_GPU      name of the GPU (default "Imitated GPU")
    TRT_MS       copy in, computing and copy out in ms (default 0.1,1,0.05); the wait between them is 0.02
    TRT_WITHOUT  comma-separated flags that this build does not have
    TRT_FAULT    how it goes wrong: see FAULTS
    TRT_CALLS    file to which each call is appended, one line of arguments
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

FAULTS = {
    "crash": "an assertion ends the run after its options",
    "abort": "the run ends there as well, and nothing says why",
    "no-times": "no file of times is written",
    "some-times": "no file of times is written but for the first run",
    "stale-times": "the file of times is of another run",
    "other-options": "the defaults are timed, whatever was asked for",
    "not-passed": "the log stops before its last line",
    "no-gpu": "there is no GPU",
    "model": "the parser refuses the model",
    "warns": "every warning there is",
}
TYPED, FLIPPED, RENAMED = 100000, 110000, 8600
WAIT_MS = 0.02
DEFAULTS = "    # " + "What `install` was given stands here."
COMMON = (
    *("onnx", "saveEngine", "loadEngine", "device", "timingCacheFile", "noTF32", "profilingVerbosity"),
    *("exportLayerInfo", "exportTimes", "exportOutput", "exportProfile", "loadInputs", "iterations"),
    *("duration", "warmUp", "avgRuns", "percentile", "exposeDMA", "verbose", "help"),
)
WEAK = ("fp16", "precisionConstraints", "layerPrecisions", "layerOutputTypes")
PLAIN = ("noDataTransfers", "useCudaGraph", "useSpinWait", "separateProfileRun")


def install(directory: Path, **environment: str) -> Path:
    """Write the program into a directory; the given variables are set unless its caller sets them."""
    directory.mkdir(parents=True, exist_ok=True)
    program = directory / "trtexec"
    lines = [f"    os.environ.setdefault({name!r}, {value!r})" for name, value in environment.items()]
    source = Path(__file__).read_text().replace(DEFAULTS, "\n".join([DEFAULTS, *lines]))
    # Packages are found when they are needed, since looking for them takes most of a start.
    program.write_text(f"#!{sys.executable} -S\n{source}")
    program.chmod(0o755)
    return program


def version() -> int:
    return int(os.environ.get("TRT_VERSION", "100300"))


def fault() -> str:
    return os.environ.get("TRT_FAULT", "")


def flags(number: int | None = None) -> tuple[str, ...]:
    """Flags of a version, by the number in its banner; the one of the environment when None."""
    number = version() if number is None else number
    known = list(COMMON)
    known += ["skipInference", "infStreams"] if number >= RENAMED else ["buildOnly", "streams"]
    known += [] if number >= FLIPPED else WEAK
    known += ["stronglyTyped"] if number >= TYPED else []
    known += ["includeDataTransfers", "noCudaGraph", "noSpinWait"] if number >= FLIPPED else PLAIN
    return tuple(flag for flag in known if flag not in os.environ.get("TRT_WITHOUT", "").split(","))


def say(text: str, severity: str = "I") -> None:
    print(f"[06/01/2025-10:00:00] [{severity}] {text}", flush=True)


def banner(what: str) -> None:
    print(f"&&&& {what} TensorRT.trtexec [TensorRT v{version()}] # {' '.join(sys.argv)}", flush=True)


def fail(text: str) -> int:
    say(text, "E")
    banner("FAILED")
    return 1


def options() -> dict[str, str]:
    """Arguments by name; refused where this version has none of that name."""
    given = dict(part.removeprefix("--").partition("=")[::2] for part in sys.argv[1:])
    for name in given:
        if name not in flags():
            raise ValueError(f"Unknown option: --{name} {given[name]}")
    return given


def dotted() -> str:
    digits = 10000 if version() >= TYPED else 1000
    return f"{version() // digits}.{version() % digits // 100}.{version() % 100}"


def timed(given: dict[str, str]) -> dict[str, object]:
    """What this version times with these arguments."""
    new = version() >= FLIPPED
    asked = {} if fault() == "other-options" and "onnx" not in given else given
    return {
        "iterations": int(given.get("iterations", "10")),
        "duration": given.get("duration", "3"),
        "warmup": int(given.get("warmUp", "200")),
        "streams": int(given.get("infStreams", given.get("streams", "1"))),
        "expose": "exposeDMA" in asked,
        "transfers": "includeDataTransfers" in asked if new else "noDataTransfers" not in asked,
        "spin": "noSpinWait" not in asked if new else "useSpinWait" in asked,
        "graph": "noCudaGraph" not in asked if new else "useCudaGraph" in asked,
    }


def echo(given: dict[str, str], run: dict[str, object]) -> None:
    state = {True: "Enabled", False: "Disabled"}
    say("=== Model Options ===")
    say(f"Format: {'ONNX' if 'onnx' in given else '*'}")
    say(f"Model: {given.get('onnx', '')}")
    say("=== Build Options ===")
    say(f"Save engine: {given.get('saveEngine', '')}")
    say(f"Load engine: {given.get('loadEngine', '')}")
    say("=== Inference Options ===")
    say("Batch: Explicit")
    say(f"Iterations: {run['iterations']}")
    say(f"Duration: {run['duration']}s (+ {run['warmup']}ms warm up)")
    say("Sleep time: 0ms")
    say(f"{'Inference Streams' if version() >= RENAMED else 'Streams'}: {run['streams']}")
    say(f"ExposeDMA: {state[bool(run['expose'])]}")
    say(f"Data transfers: {state[bool(run['transfers'])]}")
    say(f"Spin-wait: {state[bool(run['spin'])]}")
    say("Multithreading: Disabled")
    say(f"CUDA Graph: {state[bool(run['graph'])]}")
    say("=== Device Information ===")
    say(f"Selected Device: {os.environ.get('TRT_GPU', 'Imitated GPU')}")
    say("Compute Capability: 8.7")
    say(f"TensorRT version: {dotted()}")


def build(given: dict[str, str]) -> int:
    if fault() == "model":
        say('[TRT] ModelImporter.cpp:771: While parsing node number 3 [Fancy -> "x"]:', "E")
        say("[TRT] No importer registered for op: Fancy", "E")
        return fail("Failed to parse onnx file")
    engine = {"onnx": given["onnx"], "version": version(), "arguments": sys.argv[1:]}
    Path(given["saveEngine"]).write_text(json.dumps(engine))
    if "exportLayerInfo" in given:
        half = any(flag in given for flag in ("fp16", "stronglyTyped")) or version() >= FLIPPED
        tensor = {"Name": "t", "Dimensions": [1], "Format/Datatype": "Half" if half else "Float"}
        layers = [{"Name": "all", "LayerType": "gemm", "Inputs": [tensor], "Outputs": [tensor]}]
        Path(given["exportLayerInfo"]).write_text(
            json.dumps({"Layers": layers, "Bindings": ["input", "logits"]})
        )
    say("Engine built in 12.5 sec.")
    say("Created engine with size: 1.5 MiB")
    if "skipInference" in given or "buildOnly" in given:
        say("Skipped inference phase since --skipInference is added.")
        banner("PASSED")
        return 0
    return infer(given, engine)


def load(given: dict[str, str]) -> dict[str, object] | None:
    path = Path(given["loadEngine"])
    text = path.read_text() if path.is_file() else ""
    engine: dict[str, object] = json.loads(text) if text.startswith("{") else {}
    return engine if engine.get("version") == version() else None


def infer(given: dict[str, str], engine: dict[str, object]) -> int:
    run = timed(given)
    say("Engine deserialized in 0.0125 sec.")
    if "exportOutput" in given:
        Path(given["exportOutput"]).write_text(outputs(str(engine["onnx"]), given.get("loadInputs", "")))
    if "exportProfile" in given:
        layer = {
            "name": "all",
            "timeMs": 1.5 * int(str(run["iterations"])),
            "averageMs": 1.5,
            "percentage": 100,
        }
        Path(given["exportProfile"]).write_text(json.dumps([{"count": run["iterations"]}, layer]))
    rows = trace(run)
    report(rows, run)
    if "exportTimes" in given and writes_times(given["exportTimes"]):
        other = [row | {"computeMs": 2 * row["computeMs"]} for row in rows]
        chosen = other if fault() == "stale-times" else rows
        text = [", ".join(f'"{name}" : {value:.6g}' for name, value in row.items()) for row in chosen]
        Path(given["exportTimes"]).write_text("[\n  { " + " }\n, { ".join(text) + " }\n]\n")
    if fault() == "not-passed":
        return 0
    banner("PASSED")
    return 0


def writes_times(path: str) -> bool:
    if fault() == "some-times":
        mark = Path(sys.argv[0]).with_name("ran")
        first = not mark.exists()
        mark.touch()
        return first
    return fault() != "no-times"


def trace(run: dict[str, object]) -> list[dict[str, float]]:
    """Requests one after the other, with a small ripple."""
    h2d, compute, d2h = map(float, os.environ.get("TRT_MS", "0.1,1,0.05").split(","))
    if not run["transfers"]:
        h2d = d2h = 0.0
    clock, rows = float(str(run["warmup"])), []
    for number in range(int(str(run["iterations"]))):
        busy = compute * (1 + 0.002 * (number % 5))
        points = [clock, clock + h2d]
        points += [points[1] + WAIT_MS, points[1] + WAIT_MS + busy]
        points += [points[3], points[3] + d2h]
        names = ("startH2dMs", "endH2dMs", "startComputeMs", "endComputeMs", "startD2hMs", "endD2hMs")
        parts = {"h2dMs": h2d, "computeMs": busy, "d2hMs": d2h, "latencyMs": h2d + busy + d2h}
        queue = {"startEnqMs": clock, "endEnqMs": clock + 0.01}
        rows.append({**queue, **dict(zip(names, points, strict=True)), **parts})
        clock = points[5] + 0.005
    return rows


def report(rows: list[dict[str, float]], run: dict[str, object]) -> None:
    say("Starting inference")
    say(f"Warmup completed 7 queries over {run['warmup']} ms")
    span = (rows[-1]["endD2hMs"] - rows[0]["startH2dMs"]) / 1e3
    say(f"Timing trace has {len(rows)} queries over {span:.6g} s")
    say("=== Performance summary ===")
    say(f"Throughput: {len(rows) / span:.6g} qps")
    named = {
        "Latency": "latencyMs",
        "H2D Latency": "h2dMs",
        "GPU Compute Time": "computeMs",
        "D2H Latency": "d2hMs",
    }
    for name, field in named.items():
        values = sorted(row[field] for row in rows)
        mean = sum(values) / len(values)
        high = values[max(len(values) - 1 - int(0.05 * len(values)), 0)]
        text = f"min = {values[0]:.6g} ms, max = {values[-1]:.6g} ms, mean = {mean:.6g} ms, "
        say(f"{name}: {text}median = {values[len(values) // 2]:.6g} ms, percentile(95%) = {high:.6g} ms")
    say(f"Total Host Walltime: {span:.6g} s")
    if fault() == "warns":
        say("* Throughput may be bound by Enqueue Time rather than GPU Compute.", "W")
        say("* Throughput may be bound by host-to-device transfers for the inputs.", "W")
        say("* GPU compute time is unstable, with coefficient of variance = 3.5%.", "W")


def outputs(onnx: str, given: str) -> str:
    """What a model computes, as trtexec writes it: six digits, and `nan` and `inf` as they are."""
    import site

    site.main()
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
    types = {"tensor(float)": "<f4", "tensor(float16)": "<f2"}
    files = dict(pair.split(":", 1) for pair in given.split(",")) if given else {}
    feeds = {
        each.name: np.fromfile(files[each.name], types[each.type]).reshape(each.shape)
        for each in session.get_inputs()
    }
    names = [each.name for each in session.get_outputs()]
    parts = []
    for name, value in zip(names, session.run(names, feeds), strict=True):
        shape = "x".join(map(str, value.shape))
        values = ", ".join(f"{number:.6g}" for number in value.ravel().tolist())
        parts.append(f'{{ "name" : "{name}"\n  , "dimensions" : "{shape}"\n  , "values" : [ {values} ]\n  }}')
    return "[\n  " + "\n, ".join(parts) + "\n]\n"


def main() -> int:
    # What `install` was given stands here.
    if calls := os.environ.get("TRT_CALLS"):
        with Path(calls).open("a") as file:
            file.write(" ".join(sys.argv[1:]) + "\n")
    banner("RUNNING")
    if "--help" in sys.argv:
        print("=== vitbench stand-in for trtexec: nothing is measured ===")
        print("\n".join(f"  --{flag:28}of this version" for flag in flags()))
        return 0
    try:
        given = options()
    except ValueError as error:
        return fail(str(error))
    if fault() == "no-gpu":
        return fail("Cuda failure: no CUDA-capable device is detected")
    echo(given, timed(given))
    if fault() in ("crash", "abort") and "onnx" not in given and given["loadEngine"] != "/dev/null":
        if fault() == "crash":
            print("trtexec: graph.cpp:7: Assertion `tensor != nullptr' failed.", file=sys.stderr, flush=True)
        os.kill(os.getpid(), 6)
    if "onnx" in given:
        return build(given)
    engine = load(given)
    if engine is None:
        return fail(
            "[TRT] 1: Serialization assertion stdVersionRead == kVERSION failed. Version tag does not match"
        )
    return infer(given, engine)


if __name__ == "__main__":
    sys.exit(main())
