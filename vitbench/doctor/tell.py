"""A diagnosis as text for a terminal, or as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict

from vitbench.doctor.examine import Diagnosis
from vitbench.doctor.machine import Finding, Verdict
from vitbench.doctor.noise import NOISY_PERCENT, PAIRS, QUIET_PERCENT, Noise
from vitbench.report.numbers import significant, wrap
from vitbench.report.screen import Screen
from vitbench.text import clean

STYLES = {Verdict.OK: "green", Verdict.WARN: "yellow", Verdict.FAIL: "bold red", Verdict.UNKNOWN: "dim"}
VERDICT_WIDTH = max(map(len, Verdict)) + 2
NOISE = "noise"
FIX = "fix: "


def as_json(diagnosis: Diagnosis) -> str:
    """Everything that was found, as one object: `findings` is a list of knob, verdict, seen and fix.

    `noise` is null where it was not measured; `no_noise` says why, where it was asked for.
    """
    noise = diagnosis.noise
    data = {
        "target": diagnosis.target,
        "simulated": diagnosis.simulated,
        "machine": dict(diagnosis.facts),
        "findings": [asdict(finding) for finding in diagnosis.findings],
        "noise": None if noise is None else {"verdict": judge_noise(noise).verdict, **asdict(noise)},
        "no_noise": diagnosis.no_noise,
    }
    return json.dumps(data, indent=2, default=str) + "\n"


def as_text(diagnosis: Diagnosis, screen: Screen) -> str:
    """One line per knob, a fix under each that needs one, and what it all comes to."""
    findings = [*diagnosis.findings]
    if diagnosis.noise is not None:
        findings.append(judge_noise(diagnosis.noise))
    elif diagnosis.no_noise is not None:
        findings.append(Finding(NOISE, Verdict.UNKNOWN, diagnosis.no_noise))
    width = max(len(finding.knob) for finding in findings) + 2
    lines = [screen.paint(line, "bold") for line in screen.wrap(_title(diagnosis))] + [""]
    for finding in findings:
        lines += _lines(finding, width, screen)
    return screen.encode("\n".join([*lines, "", *screen.wrap(_sum(findings))]) + "\n")


def judge_noise(noise: Noise) -> Finding:
    """Judge the noise by the change that a comparison could still see.

    Ok up to what the default threshold of a gate allows for; fail where only a change of 15 % shows.
    """
    seen = (
        f"{noise.blocks} processes, {noise.iterations} iterations of {noise.median_ms:.2f} ms: "
        f"iterations spread {significant(noise.spread_percent, 2)} %, "
        f"processes differ by {significant(noise.between_percent, 2)} %, "
        f"drift {noise.drift_percent:+.1f} %; "
        f"{PAIRS} pairs would show a change of about {significant(noise.visible_percent, 2)} %"
    )
    if noise.visible_percent <= QUIET_PERCENT:
        return Finding(NOISE, Verdict.OK, seen)
    verdict = Verdict.FAIL if noise.visible_percent > NOISY_PERCENT else Verdict.WARN
    return Finding(
        NOISE, verdict, seen, "mend the warnings above, or take more --blocks and compare in pairs"
    )


def _title(diagnosis: Diagnosis) -> str:
    facts = diagnosis.facts
    known = [
        facts.get("phone"),
        facts.get("board") or facts.get("gpu_name"),
        facts.get("cpu_model"),
        f"{facts['cores']} cores" if facts.get("cores") else None,
        facts.get("os"),
        f"kernel {facts['kernel']}" if facts.get("kernel") else None,
    ]
    title = f"{diagnosis.target}: {', '.join(str(word) for word in known if word)}"
    what = "this is a stand-in for a phone" if facts.get("phone") else "nothing was examined"
    return clean(f"SIMULATED, {what}. {title}" if diagnosis.simulated else title)


def _lines(finding: Finding, knob_width: int, screen: Screen) -> Iterator[str]:
    indent = " " * (VERDICT_WIDTH + knob_width)
    room = max(screen.width - len(indent), 20)
    seen = wrap(clean(finding.seen), room) or [""]
    verdict = screen.paint(finding.verdict, STYLES[finding.verdict]) + " " * (
        VERDICT_WIDTH - len(finding.verdict)
    )
    yield f"{verdict}{finding.knob.ljust(knob_width)}{seen[0]}".rstrip()
    yield from (indent + line for line in seen[1:])
    if fix := clean(finding.fix or ""):
        # A command is to be copied: it stays on one line.
        lines = [fix] if "sudo" in fix or fix.startswith("adb ") else wrap(fix, room - len(FIX))
        yield from (
            indent + (FIX if number == 0 else " " * len(FIX)) + line for number, line in enumerate(lines)
        )


def _sum(findings: list[Finding]) -> str:
    counts = {verdict: sum(finding.verdict is verdict for finding in findings) for verdict in Verdict}
    told = [f"{count} {verdict}" for verdict, count in counts.items() if count]
    if counts[Verdict.FAIL]:
        advice = "measurements here will be void or fail until that is mended"
    elif counts[Verdict.WARN]:
        advice = "measurements work, but get better with the fixes above"
    else:
        advice = "ready to measure"
    return f"{', '.join(told)}: {advice}"
