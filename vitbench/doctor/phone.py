"""An examination of a phone: read it, try what a measurement would do with it, judge each knob."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from vitbench.android import kernel, power, state
from vitbench.android.clusters import clusters, mask_of
from vitbench.android.shell import ask
from vitbench.benchmark_model import place
from vitbench.doctor.examine import Diagnosis
from vitbench.doctor.machine import Machine
from vitbench.doctor.phone_knobs import SPEED
from vitbench.doctor.phone_needs import FIRST, LAST, STORE, listed
from vitbench.doctor.phone_state import Handset
from vitbench.errors import TargetUnreachable, UsageError, VitbenchError
from vitbench.runtime.benchmark_model import STAND_IN, BenchmarkModel
from vitbench.runtime.phone import Tool, text_of
from vitbench.transport.posix.scripts import free_bytes

if TYPE_CHECKING:
    from vitbench.android.shell import Run
    from vitbench.catalog import TargetSpec
    from vitbench.runtime import Runtime
    from vitbench.transport import Transport

WATCH_S = 1.5
MB = 1 << 20
SECTIONS = {
    "kernel": kernel.COMMANDS,
    "space": f"df -k {STORE}",
    "standin": f"getprop {STAND_IN}",
}
NO_NOISE_CHECK = (
    "not measured: phones cannot run its programs; two `vitbench run` of one model show how far they differ"
)
_T = TypeVar("_T")


def examine_phone(
    target: TargetSpec,
    engine: Runtime,
    *,
    here: Machine,
    threads: int | None,
    on_stage: Callable[[str], None],
) -> Diagnosis:
    """Examine a phone; see `vitbench.doctor.examine.examine`.

    The mode for benchmarks is tried, and left again; benchmark_model is put on the phone and asked for its
    flags.

    Args:
        here: places and libraries of this machine.

    Raises:
        UsageError: several phones and none was chosen, or the target's options make no sense.
        TargetUnreachable: the phone cannot be reached.
        ToolError: it does not answer.
    """
    from vitbench import transport

    if not isinstance(engine, BenchmarkModel):
        raise UsageError(
            f"target '{target.name}' is a phone with runtime {engine.name}, which cannot be examined",
            'targets with transport = "adb" and runtime = "benchmark_model" can',
        )
    options = engine.load_options(threads=threads)
    with transport.open(target) as link:
        link_facts = link.describe()
        on_stage(f"watching {target.name} ({link_facts['serial']}) for {WATCH_S:g} s")
        phone, simulated = _read(link, engine, options, here, on_stage)
    findings = tuple(knob.judge(phone) for knob in (*FIRST, *SPEED, *LAST))
    return Diagnosis(
        target.name,
        simulated,
        {**link_facts, **_facts(phone)},
        findings,
        noise=None,
        no_noise=NO_NOISE_CHECK,
    )


def _read(
    link: Transport,
    engine: BenchmarkModel,
    options: Mapping[str, Any],
    here: Machine,
    on_stage: Callable[[str], None],
) -> tuple[Handset, bool]:
    """What the phone says, and whether it is a stand-in for one."""
    run = text_of(link)
    found = state.read(run)
    time.sleep(WATCH_S)
    told = ask(run, SECTIONS)
    simulated = told["standin"].strip() == "1"
    free = free_bytes(told["space"])
    on_stage("trying its mode for benchmarks, and benchmark_model")
    phone = Handset(
        serial=link.describe()["serial"],
        state=found,
        later=kernel.parse_kernel(told["kernel"]),
        options=options,
        free_mb=None if free is None else free / MB,
        fixed=_or_why(lambda: _try_mode(run)) if options["fixed_performance"] else None,
        place=place.find(engine.target.options.get("binary"), found.phone.abis),
        tool=_or_why(lambda: _tool(link, engine, found, simulated=simulated)),
        checker=_or_why(lambda: engine.made_for(None).version),
        here=here,
    )
    return phone, simulated


def _try_mode(run: Run) -> power.FixedPerformance:
    with power.fixed_performance(run) as mode:
        return mode


def _tool(link: Transport, engine: BenchmarkModel, found: state.PhoneState, *, simulated: bool) -> Tool:
    chosen = engine.binary(found.phone.abis, allow_script=simulated)
    return engine.deliver(link, chosen, simulated=simulated)


def _or_why(step: Callable[[], _T]) -> _T | VitbenchError:
    """What a step gives, or the error that a measurement would end with.

    Raises:
        TargetUnreachable: the phone has gone, which is no finding.
    """
    try:
        return step()
    except TargetUnreachable:
        raise
    except VitbenchError as error:
        return error


def _facts(phone: Handset) -> dict[str, Any]:
    """What the phone is, named as a computer's facts are where those have it, and every reading."""
    what, cores, cpus, tool = phone.state.phone, phone.state.cores, phone.cpus(), phone.tool
    groups = clusters(cores)
    mask = None if isinstance(cpus, UsageError) else mask_of(cpus)
    return {
        "phone": what.model,
        "cpu_model": None if what.soc is None else what.soc.name or what.soc.part,
        "soc": None if what.soc is None else what.soc.part,
        "os": f"Android {what.android}" if what.android else None,
        "sdk": what.sdk,
        "build": what.fingerprint,
        "abis": list(what.abis),
        "cores": len(cores) or None,
        "clusters": None if groups is None else [listed(group) for group in groups],
        "cluster": phone.cluster,
        "threads": phone.threads,
        "mask": None if mask is None else f"{mask:x}",
        "readings": phone.state.readings(mask),
        "free_space_mb": phone.free_mb,
        "benchmark_model": None
        if isinstance(tool, VitbenchError)
        else {
            "path": str(tool.binary.path),
            "sha256": tool.binary.sha256,
            "abi": tool.binary.abi,
            "dialect": tool.flags.dialect,
            "flags": sorted(tool.flags.defaults),
        },
    }
