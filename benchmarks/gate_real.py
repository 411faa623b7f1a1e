"""Does the gate keep its promises on this machine? Gates of `effvit-b0` at 96x96 on `cpu`, one by one.

First a long run of pairs of the network with itself: it tells the noise, and so the pairs K and the limit d
of every gate that follows. Then one of each plant, 10 % and 5 % of the time of an iteration, in an artifact
that stays byte for byte as it is (`benchmarks.planted`), which says what it really comes to; the share that
is planted is corrected by a first look at that. Then, in rotation,

    null   50 gates in which nothing changed: no false regression; the share of PASS beside the printed one
    10     20 gates with 10 % planted: caught in at least 19
    5      20 gates with 5 % planted: caught as often as the printed power says
    cost   one gate over B0 and B1 at 224 and an attention block, when nothing changed: under 5 minutes

Each gate is a record below DIR, and what is there already is not run again: stop this whenever you like,
and start it again to go on. `results/gate-real` has the gates of one machine: another takes a DIR of its
own. A gate that was disturbed counts as what it ended with. The plants work on this machine's ONNX Runtime;
with a scripted target this only shows that it runs.

    python -m benchmarks.gate_real --results DIR [--kinds null,10,5,cost] [--runs N] [--target cpu]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections import Counter
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import geometric_mean, median

from benchmarks.planted import planted
from vitbench.errors import UsageError, VitbenchError
from vitbench.gate.baseline import place_of
from vitbench.gate.cost import in_words
from vitbench.gate.request import AskedGate
from vitbench.gate.save import requests_of
from vitbench.measure import CellProgress, make_plan
from vitbench.measure.plan import in_turns
from vitbench.pipeline.baseline import save_baseline
from vitbench.pipeline.calibrate import calibrate
from vitbench.pipeline.gate import gate_baseline
from vitbench.records.files import write_atomically
from vitbench.records.gate import GateCell, GateRecord, Verdict
from vitbench.records.store import Store
from vitbench.request import Request
from vitbench.stats.gate import pass_chance, power, visible
from vitbench.stats.pairs import signed_rank_interval

MODEL, RESOLUTION = "effvit-b0", "96x96"
RUNS = {"null": 50, "10": 20, "5": 20, "cost": 1}
PLANTS = {"10": 0.10, "5": 0.05}
COST_CELLS = ("effvit-b0:224", "effvit-b1:224", "attention-8x16:14x14")
COST_LIMIT_S = 300.0
LONG_PAIRS = 40


@dataclass(frozen=True)
class Setting:
    """What the long runs found: the noise, the gate that fits it, and what the plants come to.

    `conditions` are those that gates must share with them: another device, other pairs or another allocator
    have another noise.
    """

    conditions: dict[str, str]
    latency_ms: float
    pair_sd: float
    pairs: int
    limit: float
    shares: dict[str, float]
    achieved: dict[str, tuple[float, float, float]]


class Said:
    """Prints what a pipeline says."""

    def stage(self, cell: str, text: str) -> None:
        """Say nothing."""

    def measuring(self, cell: str, progress: CellProgress) -> None:
        """Say nothing: a terminal that is drawn on is load."""

    def note(self, text: str) -> None:
        """Print a line."""
        print(f"  {text}", file=sys.stderr, flush=True)


def calibrated(root: Path, target: str, pairs: int) -> Setting:
    """The long runs, or what they found when they were made."""
    path = root / "setting.json"
    if path.exists():
        found = json.loads(path.read_text())
        found["achieved"] = {kind: tuple(values) for kind, values in found["achieved"].items()}
        if (then := found.get("conditions")) != conditions(target):
            raise UsageError(
                f"{path} is of other conditions: {then}, not {conditions(target)}",
                "make them the same, or name another directory with --results",
            )
        return Setting(**found)
    place = str(root / "calibrate")
    requests = [request for _, _, request in requests_of([MODEL], [target], [RESOLUTION])]
    cell = calibrate(requests, place, Said(), pairs=pairs).cells[0]
    shares, achieved = {}, {}
    for kind, wanted in PLANTS.items():
        # Caches cool while it spins, so that a share of 10 % may come to more: corrected by a first look.
        looked = _achieved(requests, place, wanted, pairs // 2, seed=1)[0] - 1
        shares[kind] = wanted * (wanted / looked if looked > wanted / 3 else 1.0)
        achieved[kind] = _achieved(requests, place, shares[kind], pairs, seed=2)
    setting = Setting(
        conditions(target), cell.noise.latency_ms, cell.pair_sd, cell.pairs, cell.limit, shares, achieved
    )
    write_atomically(path, json.dumps(vars(setting), indent=1).encode())
    return setting


def conditions(target: str) -> dict[str, str]:
    """What the noise of pairs depends on beside the machine: target, how they are taken, allocator."""
    plan = in_turns(make_plan("gate")).model_dump_json(exclude={"seed", "blocks"})
    return {"target": target, "plan": plan, "GLIBC_TUNABLES": os.environ.get("GLIBC_TUNABLES", "")}


def _achieved(
    requests: list[Request], place: str, share: float, pairs: int, seed: int
) -> tuple[float, float, float]:
    """The ratio that a planted share comes to, and its interval."""
    with planted(share):
        noise = calibrate(requests, place, Said(), pairs=pairs, seed=seed).cells[0].noise
    interval = signed_rank_interval(noise.differences)
    return math.exp(interval.estimate), math.exp(interval.low), math.exp(interval.high)


def taken(place: Path) -> dict[int, GateRecord]:
    """Gates that are there already and were not interrupted, by seed."""
    if not place.is_dir():
        return {}
    found, problems = Store(place).records()
    for problem in problems:
        print(problem, file=sys.stderr)
    gates = [record for record in found if isinstance(record, GateRecord) and not record.interrupted]
    return {record.seed: record for record in gates}


def run(kinds: list[str], root: Path, target: str, setting: Setting, runs: int | None) -> None:
    """The gates that are missing, one of each kind in turn: what is stopped early has some of all."""
    wanted = {kind: RUNS[kind] if runs is None else runs for kind in kinds}
    for seed in range(max(wanted.values())):
        for kind, count in wanted.items():
            if seed < count and seed not in taken(root / kind):
                record = gate(kind, root, target, setting, seed)
                verdicts = ", ".join(cell.verdict for cell in record.cells)
                print(f"{kind} {seed + 1}/{count}: {verdicts}, {record.wall_s:.0f} s", flush=True)


def gate(kind: str, root: Path, target: str, setting: Setting, seed: int) -> GateRecord:
    """One gate of a kind; the baseline of the kind is saved before the first."""
    place = root / kind
    baseline = place_of("main", str(place))
    if not baseline.files.exists("main.json"):
        models, sizes = ([MODEL], [RESOLUTION]) if kind != "cost" else (list(COST_CELLS), [])
        save_baseline(requests_of(models, [target], sizes), baseline, Said())
    asked = AskedGate(simulated=True)
    if kind != "cost":
        asked = replace(asked, pairs=setting.pairs, limit=setting.limit)
    with planted(setting.shares[kind]) if kind in PLANTS else nullcontext():
        record = gate_baseline("main", asked, str(place), Said(), config=_no_config(root), seed=seed)
    if record.interrupted:
        raise SystemExit("interrupted; start this again to go on")
    return record


def summarise(root: Path, setting: Setting) -> tuple[list[str], bool]:
    """What was promised beside what was seen, and whether all of it was seen and keeps its promise."""
    sd, pairs, limit = setting.pair_sd, setting.pairs, setting.limit
    allocator = setting.conditions["GLIBC_TUNABLES"]
    lines = [
        f"{MODEL} at {RESOLUTION}: {setting.latency_ms:.3f} ms, pair sd {sd:.2%}; calibrated: "
        f"K = {pairs}, d = {limit:.1%}, sees {visible(limit, sd, pairs, 1):.1%} with power 0.95"
        + (f"; GLIBC_TUNABLES={allocator}" if allocator else ""),
        "",
        "| planted | achieved [95 %], and in the gates | gates | verdicts | promised | seen | |",
        "|:---|:---|---:|:---|:---|:---|:---|",
    ]
    kept = True
    for kind in ("null", *PLANTS):
        cells = [record.cells[0] for record in taken(root / kind).values()]
        told, keeps = _promise(kind, cells, setting)
        complete = len(cells) >= RUNS[kind]
        kept = kept and keeps and complete
        state = ("kept" if keeps else "NOT KEPT") + (
            "" if complete else f", {RUNS[kind] - len(cells)} to come"
        )
        lines.append(f"| {kind} | {told} | {state} |")
    costs = list(taken(root / "cost").values())
    verdicts = Counter(cell.verdict for record in costs for cell in record.cells)
    seen_s = median([record.wall_s for record in costs] or [math.inf])
    kept = kept and seen_s < COST_LIMIT_S and "REGRESSION" not in verdicts
    told = f"{in_words(seen_s)}, {_counted(verdicts)}" if costs else "to come"
    lines += ["", f"the gate over {', '.join(COST_CELLS)}: {told}; under 5 min was promised"]
    return lines, kept


def _promise(kind: str, cells: list[GateCell], setting: Setting) -> tuple[str, bool]:
    """The middle of a kind's line, and whether what was seen of it so far keeps the promise."""
    sd, pairs, limit, count = setting.pair_sd, setting.pairs, setting.limit, len(cells)
    verdicts = Counter(cell.verdict for cell in cells)
    regressions = verdicts["REGRESSION"]
    if kind == "null":
        chance, passed = pass_chance(limit, sd, pairs, 1), verdicts["PASS"]
        achieved, promised = "-", f"no REGRESSION; {chance:.1%} PASS"
        seen = f"{regressions} REGRESSION; {_share(passed, count)} PASS"
        keeps = regressions == 0 and abs(passed - chance * count) <= _reach(chance, count)
    else:
        # By time: what another gate finds is no slowdown that was caught.
        caught = sum(_by_time(cell) for cell in cells)
        ratio, low, high = setting.achieved[kind]
        chance = power(ratio - 1, limit, sd, pairs, 1)
        ratios = [stage.ratio for cell in cells for stage in cell.stages if stage.ratio is not None]
        achieved = f"{ratio - 1:+.2%} [{low - 1:+.2%}, {high - 1:+.2%}]"
        achieved += f", {geometric_mean(ratios) - 1:+.2%}" if ratios else ""
        promised, seen = f"caught in {chance:.1%}", f"caught in {_share(caught, count)}"
        keeps = abs(caught - chance * count) <= _reach(chance, count)
        if kind == "10":
            promised += ", at least 19 of 20"
            keeps = count - caught <= max(RUNS[kind], count) // 20
    return f"{achieved} | {count} | {_counted(verdicts)} | {promised} | {seen}", keeps


def _by_time(cell: GateCell) -> bool:
    return cell.verdict == "REGRESSION" and [stage.outcome for stage in cell.stages] == ["flagged"] * 2


def _share(part: int, count: int) -> str:
    return f"{part / count:.1%}" if count else "-"


def _counted(verdicts: Counter[Verdict]) -> str:
    return ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common()) or "-"


def _reach(chance: float, count: int) -> float:
    """Three standard deviations of a binomial count, and one for its steps."""
    return 3 * math.sqrt(count * chance * (1 - chance)) + 1


def _no_config(root: Path) -> Path:
    """An empty configuration: whatever lies in the working directory is of no account here."""
    path = root / "gate.toml"
    if not path.exists():
        write_atomically(path, b"")
    return path


def _kinds(text: str) -> list[str]:
    """The kinds of gates that `null,10` names.

    Raises:
        argparse.ArgumentTypeError: there is no such kind.
    """
    kinds = [kind.strip() for kind in text.split(",")]
    if unknown := [kind for kind in kinds if kind not in RUNS]:
        raise argparse.ArgumentTypeError(f"no kind '{unknown[0]}', there are {', '.join(RUNS)}")
    return kinds


def main() -> None:
    """Run what is missing of the kinds that are asked for, and summarise all there is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--kinds", type=_kinds, default=",".join(RUNS), help="of null, 10, 5, cost (default: all)"
    )
    parser.add_argument(
        "--runs", type=int, help="gates of each kind, 0 to summarise alone (default: 50, 20, 20, 1)"
    )
    parser.add_argument("--pairs", type=int, default=LONG_PAIRS, help="pairs of each long run (default: 40)")
    parser.add_argument("--target", default="cpu", help="target (default: cpu)")
    parser.add_argument("--results", type=Path, required=True, help="where the gates are kept")
    options = parser.parse_args()
    root: Path = options.results
    root.mkdir(parents=True, exist_ok=True)
    try:
        setting = calibrated(root, options.target, options.pairs)
        run(options.kinds, root, options.target, setting, options.runs)
    except VitbenchError as error:
        print(error.explain(), file=sys.stderr)
        raise SystemExit(int(error.exit_code)) from None
    lines, kept = summarise(root, setting)
    text = "\n".join(lines) + "\n"
    write_atomically(root / "summary.md", text.encode())
    print(text, end="")
    raise SystemExit(0 if kept else 1)


if __name__ == "__main__":
    main()
