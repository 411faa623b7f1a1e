"""What setting a phone's target up came to, as text for a terminal, or as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vitbench.benchmark_model.matters import meanings
from vitbench.benchmark_model.place import OPTION
from vitbench.benchmark_model.sources import SOURCES, build_command
from vitbench.doctor.phone_needs import DIALECTS
from vitbench.doctor.phone_setup import Kept, Setup
from vitbench.report.numbers import wrap
from vitbench.report.screen import Screen
from vitbench.text import clean

LABEL_WIDTH = 9


def as_json(setup: Setup) -> str:
    """Everything as one object: `phone`, `kept_before`, `sources`, and `tool` where one was given."""
    phone, kept = setup.phone, setup.kept
    data = {
        "target": setup.target,
        "phone": None
        if phone is None
        else {
            "serial": phone.serial,
            "model": phone.model,
            "abis": list(phone.abis),
            "simulated": phone.simulated,
        },
        "phone_not_asked": setup.not_asked,
        "kept_before": [
            {"abi": tool.abi, "path": str(tool.path), "sha256": tool.sha256} for tool in setup.before
        ],
        "sources": [{"abi": each.abi, "tool": each.tool, "url": each.url} for each in SOURCES],
        "tool": None if kept is None else _tool(kept),
    }
    return json.dumps(data, indent=2) + "\n"


def as_text(setup: Setup, screen: Screen) -> str:
    """Where to get the tool, or how the one that was given fared. Commands and addresses stay on one line."""
    lines = list(_advice(setup, screen) if setup.kept is None else _result(setup, setup.kept, screen))
    return screen.encode("\n".join(lines) + "\n")


def _tool(kept: Kept) -> dict[str, Any]:
    flags = kept.flags
    return {
        "path": str(kept.tool.path),
        "sha256": kept.tool.sha256,
        "abi": kept.abi,
        "kept_as": str(kept.path),
        "replaced_sha256": kept.replaced,
        "dialect": None if flags is None else flags.dialect,
        "flags": None if flags is None else sorted(flags.defaults),
        "flags_that_matter": None
        if flags is None
        else {name: flags.knows(name) for name in meanings(flags.dialect)},
    }


def _advice(setup: Setup, screen: Screen) -> Iterator[str]:
    yield from screen.wrap(
        f"{setup.target} needs benchmark_model, built for the phone's processor. No package has it, and "
        "vitbench downloads nothing: get it from those who make it."
    )
    yield ""
    yield from _phone(setup, screen)
    for tool in setup.before:
        yield _whole("kept", tool.path)
        yield from _line("", f"for {tool.abi}, sha256 {tool.sha256[:12]}", screen)
    if not setup.before:
        yield from _line("kept", "none", screen)
    yield from ["", *screen.wrap("Builds that are offered (whether they are there was not checked):")]
    abis = () if setup.phone is None else setup.phone.abis
    for source in SOURCES:
        mark = " (this phone's)" if source.abi in abis[:1] else ""
        yield from ["", f"  {source.tool}, for {source.abi}{mark}", f"  {source.url}"]
    yield from ["", "  or build it, in the sources of TensorFlow", f"  {build_command(abis)}", ""]
    yield from screen.wrap(
        "Then have it checked and kept where measurements find it. Nightly builds change from day to day: "
        "records tell the hash of the one that was used."
    )
    yield from ["", f"  vitbench targets setup {setup.target} {OPTION} PATH"]


def _result(setup: Setup, kept: Kept, screen: Screen) -> Iterator[str]:
    yield _whole("checked", kept.tool.path)
    yield from _line(
        "", f"for {kept.abi}" if kept.tool.abi else "a stand-in: its figures are simulated", screen
    )
    yield from _line("", f"sha256 {kept.tool.sha256}", screen)
    yield from _phone(setup, screen)
    if kept.flags is None:
        yield from _line("flags", "unknown: only the phone can run the tool and ask for them", screen)
    else:
        told = f"{DIALECTS[kept.flags.dialect]}, {len(kept.flags.defaults)} flags"
        yield from _line("tool", told, screen)
        for name, meaning in meanings(kept.flags.dialect).items():
            known = kept.flags.knows(name)
            verdict = (
                screen.paint("has", "green") + "    " if known else screen.paint("lacks", "yellow") + "  "
            )
            yield from _line("", f"--{name}: {meaning}", screen, verdict=verdict)
    yield _whole("kept", kept.path)
    if kept.replaced:
        yield from _line("", f"in the place of another, sha256 {kept.replaced[:12]}", screen)
    yield from ["", f"  vitbench run --model effvit-b1 --target {setup.target}"]


def _phone(setup: Setup, screen: Screen) -> Iterator[str]:
    phone = setup.phone
    if phone is None:
        yield from _line("phone", f"not asked: {setup.not_asked}", screen)
        return
    executes = f"executes {', '.join(phone.abis)}" if phone.abis else "does not tell what it executes"
    yield from _line("phone", f"{phone.model or 'unknown model'} ({phone.serial}), {executes}", screen)


def _line(label: str, text: str, screen: Screen, verdict: str = "") -> Iterator[str]:
    room = max(screen.width - LABEL_WIDTH - (7 if verdict else 0), 20)
    first, *rest = wrap(clean(text), room) or [""]
    yield f"{label.ljust(LABEL_WIDTH)}{verdict}{first}".rstrip()
    yield from (" " * (LABEL_WIDTH + (7 if verdict else 0)) + line for line in rest)


def _whole(label: str, path: Path) -> str:
    """A path is to be copied: it stays on one line."""
    return f"{label.ljust(LABEL_WIDTH)}{clean(str(path))}"
