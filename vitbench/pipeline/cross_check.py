"""Ask trtexec for a second opinion on what a target measured, where the target wants that."""

from __future__ import annotations

from vitbench.errors import VitbenchError
from vitbench.pipeline.device import Device
from vitbench.records.schema import Estimate
from vitbench.trtexec.cross_check import cross_check

OPTION = "cross_check"


def second_opinion(device: Device, estimate: Estimate | None) -> tuple[str, ...]:
    """What the record of a cell says of the sum of its parts, where trtexec takes them to be others.

    trtexec runs the very engine that was timed. Only of targets with the option `cross_check = true`. A
    trtexec that is missing or fails is said as well, and costs no figure.

    Args:
        device: the cell's way to its device, whose blocks are taken.
        estimate: what they are worth; None where none could be used.
    """
    from vitbench.runtime.trtexec_check import parts_ms

    target = device.cell.target
    if target.options.get(OPTION) is not True or device.artifact is None:
        return ()
    if estimate is None or estimate.latency_paper_ms is None:
        return ("not cross-checked by trtexec: there is no time of the parts",)
    try:
        with device.session(0) as session:
            engine = (session.loaded.engine or {}).get("engine")
        model = device.artifact.model_file
        other_ms = parts_ms(device.link, target, model, device.inputs(), engine=engine)
    except VitbenchError as error:
        return (f"not cross-checked by trtexec: {error.message}",)
    found = cross_check(estimate.latency_paper_ms, other_ms)
    return () if found is None else (found,)
