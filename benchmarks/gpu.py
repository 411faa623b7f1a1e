"""Everything that only a machine with an NVIDIA GPU can show, in one command and within its minutes.

Measures the device's own peak, runs the GPU tests, compares our loops over PyTorch and TensorRT with bare
ones (and TensorRT's with trtexec's, where that is there), times EfficientViT in PyTorch's three modes and in
TensorRT, its family, its segmentation networks at full size, throughput over batches, and the attention
study. Writes records, a log of each step and `summary.md` into a directory. A step that fails or runs out of
time is told, and the next one begins; what a step leaves of its time goes to the others. Where TensorRT is
not there, its steps are told as skipped.

    python -m benchmarks.gpu [--results results/gpu] [--minutes 8] [--trt-python PATH] [--device cuda:0]
                             [--only STEP ...] [--resume]

`--resume` leaves out what went well before. `--device cpu` runs the same steps on small networks without a
GPU: to see that they run, not for their figures.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import gpu_summary
from benchmarks.gpu_summary import Outcome

ROOT = Path(__file__).resolve().parents[1]
MINUTES = 8.0
FAMILY = tuple(f"effvit-{size}" for size in ("b1", "b2", "b3", "l1", "l2"))
CITYSCAPES = ("effvit-b1-cityscapes:1024x2048", "effvit-l1-cityscapes:1024x2048")
BATCHES = "1,8,64,256"
# Names the interpreter that has TensorRT, to the tests and where --trt-python does not.
TRT_PYTHON = "VITBENCH_TENSORRT_PYTHON"
ATTENTION_SIDE = "512"
# A step that has to stop has this long to keep what it finished.
STOP_S = 15.0
NO_TENSORRT = "skipped: TensorRT is not there"
# Importing PyTorch and waking a driver; one that hangs is as good as none.
CUDA_S = 120.0


@dataclass(frozen=True)
class Plan:
    """What is measured, and where.

    Attributes:
        device: "cuda:N" or "cpu".
        results: directory of everything that is written.
        trt_python: interpreter that has TensorRT; None where there is none.
        family, large: networks of the table, and those at their full size.
        batches: of throughput, with commas.
    """

    device: str
    results: Path
    trt_python: str | None
    family: tuple[str, ...] = FAMILY
    large: tuple[str, ...] = CITYSCAPES
    batches: str = BATCHES

    @property
    def on_cpu(self) -> bool:
        """Whether this is a dry run."""
        return self.device == "cpu"

    @property
    def precision(self) -> str:
        """What is compared: half precision on a GPU, as GPUs are used."""
        return "fp32" if self.on_cpu else "fp16"

    def target(self, name: str) -> str:
        """A target's file, written by `write_targets`."""
        return str(self.results / "targets" / f"{name}.toml")


@dataclass(frozen=True)
class Step:
    """One thing to do: its share of the time, and its command line, None where it does not apply.

    `tensorrt`: whether it does nothing without TensorRT.
    """

    name: str
    share: float
    command: Callable[[Plan], list[str] | None]
    tensorrt: bool = False


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the steps; 1 when one of them failed, 2 where there is nothing to run on."""
    options = _parser().parse_args(arguments)
    deadline = time.monotonic() + 60 * options.minutes
    if options.device != "cpu" and not has_cuda():
        print("PyTorch finds no CUDA device here; `--device cpu` is a dry run without one", file=sys.stderr)
        return 2
    plan = make_plan(options)
    if options.trt_python and plan.trt_python is None and not plan.on_cpu:
        why = "TensorRT is not there, or is not found in time"
        print(f"{options.trt_python} cannot import tensorrt: {why}", file=sys.stderr)
        return 2
    steps = [step for step in STEPS if not options.only or step.name in options.only]
    (plan.results / "logs").mkdir(parents=True, exist_ok=True)
    write_targets(plan)
    done = gpu_summary.load_outcomes(plan.results)
    if options.resume:
        steps = [step for step in steps if step.name not in done or done[step.name].problem]
    for step in steps:
        if step.tensorrt and plan.trt_python is None:
            done.setdefault(step.name, Outcome(0.0, NO_TENSORRT))
            print(f"{step.name}: {NO_TENSORRT}", flush=True)
    commands = [(step, command) for step in steps if (command := step.command(plan)) is not None]
    for number, (step, command) in enumerate(commands):
        shares = sum(later.share for later, _ in commands[number:])
        left_s = (deadline - time.monotonic()) * step.share / shares
        log = plan.results / "logs" / f"{step.name}.txt"
        outcome = done[step.name] = run_step(command, log, left_s)
        done[step.name] = outcome
        gpu_summary.save_outcomes(plan.results, done)
        print(f"{step.name}: {outcome.problem or 'done'} ({outcome.seconds:.0f} s)", flush=True)
    (plan.results / "summary.md").write_text(gpu_summary.render(plan.results, done), encoding="utf-8")
    print(plan.results / "summary.md")
    return 1 if any(done[step.name].problem for step, _ in commands) else 0


def run_step(command: Sequence[str], log: Path, limit_s: float) -> Outcome:
    """Run one step to its end or the end of its time; all it says goes into a file."""
    if limit_s < 1:
        return Outcome(0.0, "not begun: the time was up")
    begin = time.monotonic()
    working_s = max(limit_s - STOP_S, limit_s / 2)
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            code: int | None = process.wait(working_s)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            stop(process, limit_s - working_s)
    seconds = time.monotonic() - begin
    if code is None:
        return Outcome(
            seconds, f"stopped after {seconds:.0f} s, its share of the time; what was finished is recorded"
        )
    return Outcome(seconds, f"exit code {code}: {last_line(log)}" if code else None)


def stop(process: subprocess.Popen[bytes], patience_s: float) -> None:
    """End a step and all it started, so that it keeps what is finished; at once where that takes longer."""
    for sign in (signal.SIGINT, signal.SIGKILL):
        if process.poll() is not None:
            return
        os.killpg(process.pid, sign)
        try:
            process.wait(patience_s)
        except subprocess.TimeoutExpired:
            continue


def last_line(log: Path) -> str:
    """The line that says why: the last error, else the last line at all."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or ["it said nothing"])[-1][:300]


def has_cuda() -> bool:
    """Whether PyTorch finds a CUDA device; asked in a process of its own, which lets go of it again."""
    program = "import sys, torch; sys.exit(not torch.cuda.is_available())"
    try:
        return subprocess.run([sys.executable, "-c", program], check=False, timeout=CUDA_S).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def find_trt_python(wanted: str | None) -> str | None:
    """An interpreter that can import TensorRT: the one that is named, else this one; None where it cannot."""
    python = wanted or sys.executable
    program = "import importlib.util, sys; sys.exit(importlib.util.find_spec('tensorrt') is None)"
    try:
        found = subprocess.run([python, "-c", program], capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return python if found.returncode == 0 else None


def make_plan(options: argparse.Namespace) -> Plan:
    """What the options ask for."""
    results = Path(options.results).resolve()
    if options.device == "cpu":
        family = tuple(options.model or ("effvit-b0:64x64", "attention-4x16:7x7"))
        return Plan("cpu", results, None, family, family[:1], "1,2")
    python = find_trt_python(options.trt_python)
    return Plan(options.device, results, python, tuple(options.model or FAMILY))


def write_targets(plan: Plan) -> None:
    """Write the targets that are measured: PyTorch in its modes, and TensorRT."""
    directory = plan.results / "targets"
    directory.mkdir(parents=True, exist_ok=True)
    for mode in ("eager", "compile", "graph"):
        text = _toml(f"torch-{mode}", "cuda-torch", plan, {"device": plan.device, "mode": mode})
        Path(plan.target(f"torch-{mode}")).write_text(text, encoding="utf-8")
    if plan.trt_python:
        checked = {
            "cross_check": bool(shutil.which("trtexec")),
            "device": int(plan.device.rpartition(":")[2]),
        }
        text = _toml("tensorrt", "tensorrt", plan, checked, python=plan.trt_python)
        Path(plan.target("tensorrt")).write_text(text, encoding="utf-8")


def _toml(
    name: str, runtime: str, plan: Plan, options: Mapping[str, object], python: str | None = None
) -> str:
    """A target's file. TOML writes strings, numbers and truth as JSON does."""
    told = {"name": name, "title": f"{name} on {plan.device}", "transport": "local", "runtime": runtime}
    told |= {"precision": plan.precision} | ({"python": python} if python else {})
    lines = [f"{key} = {json.dumps(value)}" for key, value in told.items()]
    return "\n".join([*lines, "[options]", *(f"{key} = {json.dumps(options[key])}" for key in options), ""])


def _vitbench(command: str, *arguments: str, plan: Plan) -> list[str]:
    end = ["--results", str(plan.results / "records"), "--allow-inconclusive"]
    return [sys.executable, "-m", "vitbench", command, *arguments, *end]


def _run(targets: Sequence[str], models: Sequence[str], *arguments: str, plan: Plan) -> list[str]:
    files = ",".join(plan.target(name) for name in targets)
    length = ["--quick"] if plan.on_cpu else ["--blocks", "3"]
    return _vitbench("run", "-m", ",".join(models), "-t", files, *length, *arguments, plan=plan)


def _best(plan: Plan) -> str:
    """PyTorch without what launching operators costs."""
    return "torch-eager" if plan.on_cpu else "torch-graph"


def _peak(plan: Plan) -> list[str]:
    size = ["--side", "512", "--seconds", "0.2"] if plan.on_cpu else []
    command = [sys.executable, "-m", "benchmarks.gpu_peak", "--device", plan.device]
    return [*command, "--precision", plan.precision, *size]


def _tests(plan: Plan) -> list[str] | None:
    if plan.on_cpu:
        return None
    # The tests of TensorRT run under the Python that this variable names, and are left out without one.
    named = [f"{TRT_PYTHON}={plan.trt_python}"] if plan.trt_python else []
    return ["env", *named, sys.executable, "-m", "pytest", "-q", "-m", "gpu", "tests/hardware"]


def _fidelity(plan: Plan) -> list[str]:
    return _bare(plan, "torch-eager", *(("6", "1") if plan.on_cpu else ("8", "0.01")))


def _tensorrt_fidelity(plan: Plan) -> list[str] | None:
    """Over the same engine file: that of the family's first."""
    return _bare(plan, "tensorrt", "6", "0.01") if plan.trt_python else None


def _bare(plan: Plan, target: str, pairs: str, limit: str) -> list[str]:
    """Our loop against a bare one."""
    command = [sys.executable, "-m", "benchmarks.fidelity", "--target", plan.target(target)]
    return [*command, "--model", plan.family[0], "--pairs", pairs, "--limit", limit]


def _modes(plan: Plan) -> list[str]:
    names = ["torch-eager"] if plan.on_cpu else ["torch-eager", "torch-compile", "torch-graph"]
    return _run(names, plan.family[:1], plan=plan)


def _tensorrt(plan: Plan) -> list[str] | None:
    return _run(["tensorrt"], plan.family, plan=plan) if plan.trt_python else None


def _tensorrt_large(plan: Plan) -> list[str] | None:
    return _run(["tensorrt"], plan.large, plan=plan) if plan.trt_python else None


def _throughput(plan: Plan, target: str | None = None) -> list[str]:
    length = ("--metric", "throughput", "--batch", plan.batches)
    return _run([target or _best(plan)], plan.family[:1], *length, plan=plan)


def _tensorrt_throughput(plan: Plan) -> list[str] | None:
    return _throughput(plan, "tensorrt") if plan.trt_python else None


def _attention(plan: Plan, target: str | None = None) -> list[str]:
    """In one whole network: the block alone takes a process for each formulation of each size."""
    name, colon, size = plan.family[0].partition(":")
    sides = f"{name}+softmax{colon}{size}", plan.family[0]
    larger = [] if colon else ["--resolution", ATTENTION_SIDE]
    file = plan.target(target or _best(plan))
    return _vitbench("compare", *sides, "-t", file, *larger, "--quick", plan=plan)


def _tensorrt_attention(plan: Plan) -> list[str] | None:
    return _attention(plan, "tensorrt") if plan.trt_python else None


STEPS = (
    Step("peak", 30, _peak),
    Step("tests", 90, _tests),
    Step("fidelity", 80, _fidelity),
    Step("modes", 70, _modes),
    Step("family", 110, lambda plan: _run([_best(plan)], plan.family, plan=plan)),
    Step("tensorrt", 120, _tensorrt, tensorrt=True),
    # After the step that builds its engine.
    Step("tensorrt-fidelity", 80, _tensorrt_fidelity, tensorrt=True),
    Step("large", 100, lambda plan: _run([_best(plan)], plan.large, plan=plan)),
    Step("throughput", 80, _throughput),
    Step("attention", 90, _attention),
    # Last: their engines take long to build, and the steps before them keep their time.
    Step("tensorrt-attention", 90, _tensorrt_attention, tensorrt=True),
    Step("tensorrt-large", 100, _tensorrt_large, tensorrt=True),
    Step("tensorrt-throughput", 80, _tensorrt_throughput, tensorrt=True),
)


def _device(text: str) -> str:
    if re.fullmatch(r"cpu|cuda:\d+", text):
        return text
    raise argparse.ArgumentTypeError(f"{text!r} is neither cuda:N nor cpu")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [step.name for step in STEPS]
    parser.add_argument("--results", default="results/gpu", help="directory (default: results/gpu)")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="for all of it (default: 8)")
    parser.add_argument(
        "--trt-python",
        default=os.environ.get(TRT_PYTHON),
        help=f"interpreter that has TensorRT (default: ${TRT_PYTHON}, else this one)",
    )
    parser.add_argument("--device", type=_device, default="cuda:0", help="cuda:N, or cpu for a dry run")
    parser.add_argument("--model", nargs="+", help="the family, its first for whatever takes one network")
    parser.add_argument("--only", nargs="+", choices=names, help="these steps alone")
    parser.add_argument("--resume", action="store_true", help="leave out steps that went well before")
    return parser


if __name__ == "__main__":
    sys.exit(main())
