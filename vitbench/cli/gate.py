"""`vitbench gate`: is anything slower than it was, for certain?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from vitbench.cli.baseline import Artifacts
from vitbench.cli.options import BenchmarkBinary, Cores, Host, Json, NoCache, Results, Serial, Weights, split
from vitbench.remarks import remark


def gate(
    baseline: Annotated[
        str | None,
        typer.Option("--baseline", help="Baseline by name, path or URL (default: gate.toml's, or main)."),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option("--target", "-t", help="Targets to gate on, with commas (default: the baseline's)."),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", help="Cells to gate, * stands for anything (default: all): effvit-b*."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="Limits and waivers (default: gate.toml, if it is there).")
    ] = None,
    max_regression: Annotated[
        str | None,
        typer.Option("--max-regression", help="Slowdown that is allowed, of every cell: 3% (phones: 5%)."),
    ] = None,
    pairs: Annotated[
        int | None, typer.Option("--pairs", help="Pairs of the first stage, of every cell (default: 10).")
    ] = None,
    against_history: Annotated[
        bool,
        typer.Option(
            "--against-history",
            help="Judge the newest stored run of each cell by the ones before it; measure nothing.",
        ),
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail on what is advisory: regressions against a history.")
    ] = False,
    allow_inconclusive: Annotated[
        bool, typer.Option("--allow-inconclusive", help="Exit 0 instead of 3.")
    ] = False,
    allow_other_machine: Annotated[
        bool,
        typer.Option(
            "--allow-other-machine", help="Gate a baseline of another machine; both sides run here."
        ),
    ] = False,
    simulated: Annotated[bool, typer.Option("--simulated", help="Gate scripted targets too.")] = False,
    form: Annotated[
        str | None, typer.Option("--format", "-f", help="table, markdown, json or junit (default: table).")
    ] = None,
    as_json: Json = False,
    markdown: Annotated[
        Path | None, typer.Option("--markdown", help="Write a Markdown report to this file.")
    ] = None,
    junit: Annotated[Path | None, typer.Option("--junit", help="Write JUnit XML to this file.")] = None,
    github: Annotated[
        bool | None,
        typer.Option(
            "--github/--no-github",
            help="Annotate, and write the summary of the job (default: as a step of GitHub Actions).",
        ),
    ] = None,
    artifacts: Artifacts = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed of the order in pairs (default: drawn, and recorded).")
    ] = None,
    weights: Weights = None,
    host: Host = None,
    serial: Serial = None,
    benchmark_binary: BenchmarkBinary = None,
    cluster: Cores = None,
    results: Results = "results",
    no_cache: NoCache = False,
) -> None:
    """Measure a baseline's artifacts and today's in pairs, and fail on a regression.

    Exit code 0: every cell passes. 1: a regression. 2: usage, configuration, files.
    3: inconclusive or not measured. 4: target unreachable. 5: a tool on the device failed.
    130: Ctrl-C before any regression was decided; after one it is 1, and what was decided is shown.

    Examples:

      vitbench gate

      vitbench gate --baseline results/baselines/main.json -t cpu -m 'effvit-b*'

      vitbench gate --junit gate.xml --markdown gate.md

      vitbench gate --against-history -m effvit-b2 -t orin --strict
    """
    from vitbench.catalog import DeviceOptions
    from vitbench.cli.progress import TerminalProgress
    from vitbench.gate.config import parse_share, read_config
    from vitbench.gate.outcome import exit_code
    from vitbench.interrupts import finishing
    from vitbench.report.gate.github import in_actions
    from vitbench.report.gate.show import check_files, check_form, show

    if against_history:
        _refuse_with_history(
            {
                "--baseline": baseline,
                "--pairs": pairs,
                "--allow-other-machine": allow_other_machine or None,
                "--artifacts": artifacts,
                "--seed": seed,
                "--weights": weights,
                "--host": host,
                "--serial": serial,
                "--benchmark-binary": benchmark_binary,
                "--cluster": cluster,
                "--no-cache": no_cache or None,
            }
        )
    chosen = check_form(form, as_json=as_json)
    check_files(markdown, junit)
    limit = parse_share(max_regression, "--max-regression") if max_regression is not None else None
    problems: list[str] = []
    if against_history:
        from vitbench.gate.history import gate_history

        record = gate_history(
            results,
            read_config(config),
            models=split(model),
            targets=split(target),
            limit=limit,
            simulated=simulated,
            strict=strict,
        )
    else:
        from vitbench.gate.request import AskedGate
        from vitbench.pipeline.gate import UnrecordedGate, gate_baseline

        asked = AskedGate(
            models=split(model),
            targets=split(target),
            pairs=pairs,
            limit=limit,
            weights=weights,
            artifacts=artifacts,
            no_cache=no_cache,
            simulated=simulated,
            other_machine=allow_other_machine,
            device=DeviceOptions(serial, benchmark_binary, cluster, host),
        )
        with TerminalProgress() as progress:
            try:
                record = gate_baseline(baseline, asked, results, progress, config=config, seed=seed)
            except UnrecordedGate as lost:
                record = lost.record
                problems.append(lost.explain())
    with finishing():
        problems += show(
            record,
            chosen,
            markdown_file=markdown,
            junit_file=junit,
            actions=in_actions() if github is None else github,
        )
        if problems:
            remark("\n".join(problems))
        code = exit_code(record, allow_inconclusive=allow_inconclusive, unwritten=bool(problems))
    raise typer.Exit(code)


def _refuse_with_history(options: Mapping[str, object]) -> None:
    """Refuse options of a gate that measures; those that were not given are None.

    Raises:
        UsageError: one was given; the message names it.
    """
    from vitbench.errors import UsageError

    given = ", ".join(name for name, value in options.items() if value is not None)
    if given:
        raise UsageError(
            f"{given}: of a gate that measures, and --against-history measures nothing", f"drop {given}"
        )
