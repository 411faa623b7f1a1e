"""Set a phone's target up: check a benchmark_model, and keep it where measurements find it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vitbench.android import soc
from vitbench.android.shell import ask
from vitbench.benchmark_model import binary, place
from vitbench.benchmark_model.binary import ABIS, Binary
from vitbench.benchmark_model.command import Invocation, command
from vitbench.benchmark_model.flags import Flags
from vitbench.errors import TargetUnreachable, UsageError
from vitbench.runtime.benchmark_model import STAND_IN, BenchmarkModel
from vitbench.runtime.phone import text_of

if TYPE_CHECKING:
    from vitbench.catalog import TargetSpec
    from vitbench.transport import Transport

SECTIONS = {"phone": soc.COMMANDS, "standin": f"getprop {STAND_IN}"}


@dataclass(frozen=True)
class Asked:
    """The phone that was asked: which one, what it executes, and whether it is a stand-in for one."""

    serial: str
    model: str | None
    abis: tuple[str, ...]
    simulated: bool


@dataclass(frozen=True)
class Kept:
    """The tool as it was checked. `flags` are None where no phone was asked for them."""

    tool: Binary
    abi: str
    flags: Flags | None
    path: Path
    replaced: str | None


@dataclass(frozen=True)
class Setup:
    """What there is to tell. `phone` is None where none was asked, and `not_asked` says why.

    `before` has the tools that were kept already; `kept` is the one that was checked and kept now.
    """

    target: str
    phone: Asked | None
    not_asked: str | None
    before: tuple[Binary, ...]
    kept: Kept | None


def set_up(
    target: TargetSpec, chosen: Path | None, *, on_stage: Callable[[str], None] = lambda _text: None
) -> Setup:
    """Check a tool and keep it; without one, look at what is there.

    A phone is asked where one can be: what it executes, and which flags the tool has.

    Args:
        chosen: the tool on this machine.
        on_stage: told what begins, before it begins.

    Raises:
        UsageError: the target needs no tool, or the file is none for Android or for this phone, or cannot be
            kept; or several phones are connected and none was chosen.
        TargetUnreachable: the phone that the target names cannot be reached.
        ToolError: the tool does not run on the phone, or is something else.
    """
    from vitbench import runtime

    engine = runtime.for_target(target)
    if not isinstance(engine, BenchmarkModel):
        raise UsageError(
            f"target '{target.name}' has nothing to set up: {target.runtime}, its runtime, needs no tool",
            "phones do: `vitbench targets setup snapdragon`",
        )
    if chosen is not None:
        # What is no program at all is refused before a phone is looked for.
        binary.inspect(chosen.expanduser(), allow_script=True)
    before = tuple(_kept_tools())
    link, why = _reach(target, needed=chosen is not None, on_stage=on_stage)
    with link or nullcontext():
        phone = None if link is None else _who(link)
        kept = None
        if chosen is not None:
            checked, flags = _check(engine, chosen.expanduser(), link, phone, on_stage)
            kept = _keep(checked, flags, phone, before)
    return Setup(target.name, phone, why, before, kept)


def _reach(
    target: TargetSpec, *, needed: bool, on_stage: Callable[[str], None]
) -> tuple[Transport | None, str | None]:
    """The phone, or why none is asked. One that was named must be there."""
    from vitbench import transport
    from vitbench.transport.adb.choice import asked_serial

    named, _ = asked_serial(target.serial)
    on_stage(f"looking for {f'phone {named}' if named else 'a phone'}")
    try:
        return transport.open(target), None
    except TargetUnreachable as error:
        if named:
            raise
        return None, error.message
    except UsageError as error:
        # Which of several is meant decides only where a tool is checked.
        if named or needed:
            raise
        return None, error.message


def _who(link: Transport) -> Asked:
    told = ask(text_of(link), SECTIONS)
    phone = soc.parse_phone(told["phone"])
    return Asked(link.describe()["serial"], phone.model, phone.abis, told["standin"].strip() == "1")


def _check(
    engine: BenchmarkModel,
    chosen: Path,
    link: Transport | None,
    phone: Asked | None,
    on_stage: Callable[[str], None],
) -> tuple[Binary, Flags | None]:
    """The tool, and its flags where a phone can be asked.

    Raises:
        UsageError: it is none for this phone, or too old.
    """
    if link is None or phone is None:
        return binary.inspect(chosen), None
    checked = binary.inspect(chosen, allow_script=phone.simulated)
    checked.check_abis(phone.abis)
    on_stage(f"asking it for its flags on phone {phone.serial}")
    tool = engine.deliver(link, checked, simulated=phone.simulated)
    # One that no measurement could command is not worth keeping.
    command(tool.program, Invocation("model", 1, 1, 1, 1.0), tool.flags)
    return checked, tool.flags


def _keep(checked: Binary, flags: Flags | None, phone: Asked | None, before: tuple[Binary, ...]) -> Kept:
    """Keep it under its ABI; a stand-in, which has none, under that of the phone it runs on."""
    abis = (checked.abi,) if checked.abi else () if phone is None else phone.abis
    abi = next((abi for abi in abis if abi in ABIS), None)
    if abi is None:
        raise UsageError(
            f"{checked.path} is kept by its ABI, and the phone tells none that vitbench knows",
            f"name it with {place.OPTION} instead",
        )
    replaced = next((tool.sha256 for tool in before if tool.abi == abi), None)
    path = place.keep(checked, abi)
    return Kept(checked, abi, flags, path, None if replaced == checked.sha256 else replaced)


def _kept_tools() -> Iterator[Binary]:
    """What is kept, by its hash alone: a damaged one is to be replaced, and no reason to give up."""
    for abi in ABIS:
        path = place.kept(abi)
        with suppress(OSError):
            yield Binary(path, hashlib.sha256(path.read_bytes()).hexdigest(), abi)
