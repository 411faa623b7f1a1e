"""A stand-in for `benchmark_model`: its flags and its output, on the interpreter of ai_edge_litert.

`install` writes it as a program that needs nothing of this repository. It is an imitation: the times are
those of the Python interpreter on this machine. Variables of its environment:

    BM_DIALECT    tflite (default) or litert: which of the two tools it looks like
    BM_SAMPLES_US comma-separated times in microseconds, taken in turn instead of running the model
    BM_WITHOUT    comma-separated flags that this build does not know
    BM_FAULT      how it goes wrong: see FAULTS
    BM_SLEEP_S    how long the fault `sleep` sleeps (default 600)
"""

from __future__ import annotations

import itertools
import os
import signal
import statistics
import struct
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

FAULTS = {
    "truncate": "the output stops within the count line of the run, with status 0",
    "silent": "nothing is printed, with status 0",
    "fail": "the run fails without a reason",
    "short": "the time is up after half of the inferences",
    "old": "the model has an operator that is too new",
    "delegate": "XNNPACK cannot be applied",
    "unconsumed": "a flag is not consumed",
    "segv": "a crash within the run",
    "kill": "killed by the system within the run",
    "sleep": "the run hangs",
    "no-file": "the result file is not written",
    "stale-file": "the result file is of another run",
}

Flag = tuple[str, str, str]
COMMON: tuple[Flag, ...] = (
    ("num_runs", "50", "int32"),
    ("min_secs", "1", "float"),
    ("max_secs", "150", "float"),
    ("run_delay", "-1", "float"),
    ("run_frequency", "-1", "float"),
    ("num_threads", "-1", "int32"),
    ("use_caching", "false", "bool"),
    ("warmup_runs", "1", "int32"),
    ("warmup_min_secs", "0.5", "float"),
    ("verbose", "false", "bool"),
    ("dry_run", "false", "bool"),
    ("report_peak_memory_footprint", "false", "bool"),
    ("graph", "", "string"),
    ("allow_fp16", "false", "bool"),
    ("require_full_delegation", "false", "bool"),
    ("result_file_path", "", "string"),
    ("use_gpu", "false", "bool"),
)
OWN: dict[str, tuple[Flag, ...]] = {
    "tflite": (
        ("enable_op_profiling", "false", "bool"),
        ("use_nnapi", "false", "bool"),
        ("use_xnnpack", "false", "bool"),
        ("xnnpack_force_fp16", "false", "bool"),
    ),
    "litert": (("use_cpu", "true", "bool"), ("use_npu", "false", "bool"), ("use_profiler", "false", "bool")),
}
KINDS: dict[str, Callable[[str], object]] = {"int32": int, "float": float, "string": str}
TRUTHS = {"true": True, "1": True, "false": False, "0": False}
DEFAULTS = "    # " + "What `install` was given stands here."
SOURCE = "[./litert/tools/benchmark_litert_model.h:81] "


def install(directory: Path, **environment: str) -> Path:
    """Write the program into a directory; the given variables are set unless its caller sets them."""
    program = directory / "benchmark_model"
    lines = [f"    os.environ.setdefault({name!r}, {value!r})" for name, value in environment.items()]
    source = Path(__file__).read_text().replace(DEFAULTS, "\n".join([DEFAULTS, *lines]))
    program.write_text(f"#!{sys.executable}\n{source}")
    program.chmod(0o755)
    return program


class Refused(Exception):
    """The tool gives up: what it prints on stderr before it says so."""


def say(text: str) -> None:
    print(f"INFO: {text}", flush=True)


def flags() -> list[Flag]:
    without = os.environ.get("BM_WITHOUT", "").split(",")
    known = (*COMMON, *OWN[os.environ.get("BM_DIALECT", "tflite")])
    return [flag for flag in known if flag[0] not in without]


def usage(program: str) -> str:
    lines = [f"\t--{name}={default:20}\t{kind}\toptional\tsee there" for name, default, kind in flags()]
    return "\n".join([f"usage: {program} <flags>", "Flags:", *lines])


def parse(argv: list[str]) -> dict[str, object]:
    kinds = {name: kind for name, _, kind in flags()}
    options: dict[str, object] = {name: convert(name, kind, default) for name, default, kind in flags()}
    rest = []
    for word in argv:
        name, found, value = word.removeprefix("--").partition("=")
        if word.startswith("--") and found and name in kinds:
            options[name] = convert(name, kinds[name], value)
        else:
            rest.append(word)
    if os.environ.get("BM_FAULT") == "unconsumed":
        rest.append("--fast_math=true")
    if rest:
        print(f"WARN: Unconsumed cmdline flags: {' '.join(rest)}", flush=True)
    return options


def convert(name: str, kind: str, value: str) -> object:
    try:
        return TRUTHS[value] if kind == "bool" else KINDS[kind](value)
    except (KeyError, ValueError):
        raise Refused(f"ERROR: Failed to parse flag '{name}' against argv '{value}'") from None


def load(path: str) -> None:
    if not os.path.isfile(path):  # noqa: PTH113 - as little as possible is imported before the model
        raise Refused(f"ERROR: Could not open '{path}'.\nERROR: Failed to load model {path}")
    with open(path, "rb") as file:  # noqa: PTH123
        if file.read(8)[4:] != b"TFL3":
            raise Refused(
                f"ERROR: The model is not a valid Flatbuffer file\nERROR: Failed to load model {path}"
            )
    say(f"Loaded model {path}")
    if os.environ.get("BM_FAULT") == "old":
        raise Refused(
            "ERROR: Didn't find op for builtin opcode 'GATHER_ND' version '9'. It may be newer.\n"
            "ERROR: Registration failed.\n\nERROR: Failed to initialize the interpreter"
        )
    if os.environ.get("BM_FAULT") == "delegate":
        raise Refused("ERROR: Failed to apply XNNPACK delegate.")


def inference(options: dict[str, object]) -> Callable[[], int]:
    """What runs the model once and returns how many microseconds it took."""
    if samples := os.environ.get("BM_SAMPLES_US"):
        turns: Iterator[int] = itertools.cycle(map(int, samples.split(",")))
        return lambda: next(turns)
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    threads = int(str(options["num_threads"]))
    try:
        interpreter = Interpreter(
            model_path=str(options["graph"]),
            num_threads=threads if threads > 0 else None,
            experimental_op_resolver_type=OpResolverType.AUTO if options.get("use_xnnpack", True) else plain,
        )
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise Refused(f"ERROR: {error}") from None
    tell_delegate(interpreter)
    random = np.random.default_rng(0)
    inputs = [
        (each["index"], random.uniform(0, 1, each["shape"]).astype(each["dtype"]))
        for each in interpreter.get_input_details()
    ]

    def once() -> int:
        for index, value in inputs:
            interpreter.set_tensor(index, value)
        start = time.perf_counter_ns()
        interpreter.invoke()
        return (time.perf_counter_ns() - start) // 1000

    return once


def tell_delegate(interpreter: object) -> None:
    kernels = sum(each["op_name"] == "DELEGATE" for each in interpreter._get_ops_details())  # type: ignore[attr-defined]
    if kernels:
        say("Created TensorFlow Lite XNNPACK delegate for CPU.")
        say(
            "Explicitly applied XNNPACK delegate, and the model graph will be partially executed by the "
            f"delegate w/ {kernels} delegate kernels."
        )


def series(once: Callable[[], int], count: int, least_s: float, most_s: float, delay_s: float) -> list[int]:
    say(
        f"Running benchmark for at least {count} iterations and at least {least_s:g} seconds but "
        f"terminate if exceeding {most_s:g} seconds."
    )
    times: list[int] = []
    start = now = time.perf_counter()
    while (len(times) < count or now < start + least_s) and now <= start + most_s:
        times.append(once())
        if delay_s > 0:
            time.sleep(delay_s)
        now = time.perf_counter()
    return times


def percentile(times: list[int], percent: int) -> int:
    return sorted(times)[len(times) * percent // 100] if times else 0


def count_line(times: list[int]) -> str:
    percentiles = " ".join(
        f"{name}={percentile(times, at)}" for name, at in (("p5", 5), ("median", 50), ("p95", 95))
    )
    if not times:
        return f"count=0 {percentiles}"
    if len(set(times)) == 1:
        return f"count={len(times)} curr={times[-1]}{'(all same)' if len(times) > 1 else ''} {percentiles}"
    return (
        f"count={len(times)} first={times[0]} curr={times[-1]} min={min(times)} max={max(times)} "
        f"avg={statistics.fmean(times):g} std={int(statistics.pstdev(times))} {percentiles}"
    )


def go_wrong(line: str) -> None:
    """The faults that strike within the run."""
    fault = os.environ.get("BM_FAULT")
    if fault == "truncate":
        print(f"INFO: {line[: len(line) // 2]}", end="", flush=True)
        os._exit(0)
    if fault == "sleep":
        time.sleep(float(os.environ.get("BM_SLEEP_S", "600")))
    if fault in ("segv", "kill"):
        os.kill(os.getpid(), signal.SIGSEGV if fault == "segv" else signal.SIGKILL)
    if fault == "fail":
        raise Refused("")


def mean(times: list[int]) -> float:
    return statistics.fmean(times) if times else 0.0


def close(init_us: int, warmup: list[int], run: list[int]) -> None:
    first = warmup[0] if warmup else 0
    if os.environ.get("BM_DIALECT") != "litert":
        say(
            f"Inference timings in us: Init: {init_us}, First inference: {first}, "
            f"Warmup (avg): {mean(warmup):g}, Inference (avg): {mean(run):g}"
        )
        return
    say(f"{SOURCE}\n========== BENCHMARK RESULTS ==========")
    say(f"{SOURCE}Model initialization: {init_us / 1e3:.2f} ms")
    say(f"{SOURCE}Warmup (first):       {first / 1e3:.2f} ms")
    say(f"{SOURCE}Warmup (avg):         {mean(warmup) / 1e3:.2f} ms ({len(warmup)} runs)")
    say(f"{SOURCE}Inference (avg):      {mean(run) / 1e3:.2f} ms ({len(run)} runs)")
    say(f"{SOURCE}======================================\n")


def peak_memory_mb() -> float:
    with open("/proc/self/status") as file:  # noqa: PTH123
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmHWM"))


def varint(value: int) -> bytes:
    found = b""
    while value > 0x7F:
        found, value = found + bytes([value & 0x7F | 0x80]), value >> 7
    return found + bytes([value])


def message(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def result_file(init_us: int, warmup: list[int], run: list[int], peak_mb: float | None) -> bytes:
    """The BenchmarkResult message, as protobuf writes it."""
    times_us = [mean(run), min(run), max(run), int(statistics.pstdev(run))]
    times_us += [
        *(percentile(run, at) for at in (50, 5, 95)),
        init_us,
        warmup[0] if warmup else 0,
        mean(warmup),
    ]
    latency = b"".join(
        varint(number << 3 | 5) + struct.pack("<f", time_us / 1e3)
        for number, time_us in enumerate(times_us, 1)
    )
    memory = varint(1 << 3) + varint(2048)
    if peak_mb is not None:
        memory += varint(3 << 3 | 5) + struct.pack("<f", peak_mb)
    misc = varint(2 << 3) + varint(len(run)) + varint(3 << 3) + varint(len(warmup))
    return message(2, latency) + message(3, memory) + message(4, misc)


def benchmark(options: dict[str, object]) -> None:
    load(str(options["graph"]))
    start = time.perf_counter()
    once = inference(options)
    init_us = int((time.perf_counter() - start) * 1e6)
    say(f"Initialized session in {init_us / 1e3:g}ms.")
    number = {name: float(value) for name, value in options.items() if isinstance(value, int | float)}
    most_s, delay_s = number.get("max_secs", 150.0), number["run_delay"]
    warmup_s, least_s = number.get("warmup_min_secs", 0.0), number.get("min_secs", 0.0)
    warmup = series(once, int(number["warmup_runs"]), warmup_s, most_s, delay_s)
    say(count_line(warmup) + "\n")
    run = series(once, int(number["num_runs"]), least_s, most_s, delay_s)
    if os.environ.get("BM_FAULT") == "short":
        run = run[: max(1, len(run) // 2)]
    go_wrong(count_line(run))
    say(count_line(run) + "\n")
    close(init_us, warmup, run)
    peak_mb = peak_memory_mb() if options.get("report_peak_memory_footprint") else None
    if peak_mb is not None:
        say(f"Overall peak memory footprint (MB) via periodic monitoring: {peak_mb:g}")
    path, fault = options.get("result_file_path"), os.environ.get("BM_FAULT")
    if path and fault != "no-file":
        written = [each * 3 for each in run] if fault == "stale-file" else run
        with open(str(path), "wb") as file:  # noqa: PTH123
            file.write(result_file(init_us, warmup, written, peak_mb))


def main(argv: list[str]) -> int:
    """Do what the tool does with these arguments; return its status."""
    if os.environ.get("BM_FAULT") == "silent":
        return 0
    say("STARTING!")
    if argv[1:2] == ["--help"]:
        print(f"ERROR: {usage(argv[0])}\nERROR: Benchmarking failed.", file=sys.stderr, flush=True)
        return 1
    try:
        benchmark(parse(argv[1:]))
    except Refused as refused:
        print(f"{refused}\nERROR: Benchmarking failed.".lstrip("\n"), file=sys.stderr, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    # What `install` was given stands here.
    sys.exit(main(sys.argv))
