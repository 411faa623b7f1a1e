"""What a reader of a figure should know, whatever its status."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from vitbench.boards.modes import highest_mode, is_highest
from vitbench.records.schema import Block, Header

POWER_CAP = "sw_power_cap"


def notes_of(header: Header, blocks: Sequence[Block] = ()) -> tuple[str, ...]:
    """What a passed parity does not show, precisions that are not what they seem, what the device or its
    tool says of itself, the state of a GPU.

    Args:
        header: what is known before the first block.
        blocks: those that were taken.
    """
    notes = [header.parity.reason] if header.parity is not None and header.parity.reason else []
    if header.protocol.precision == "fp16" and header.target.runtime == "onnxruntime":
        notes.append("ONNX Runtime computes an fp16 graph in fp32 on a CPU")
    engine = header.artifact.engine if header.artifact else None
    if engine is not None and engine.cuda_graph_refused:
        notes.append(f"the CUDA graph could not be recorded, and is not used: {engine.cuda_graph_refused}")
    notes += map(str, header.environment.get("facts", {}).get("notes", ()))
    return (*notes, *_of_state(header), *_of_tool(blocks), *_of_blocks(blocks), *_of_energy(header))


def _of_state(header: Header) -> list[str]:
    """Knobs of a board or a GPU that make its figures slower, or less repeatable."""
    state = header.environment.get("state", {})
    notes = []
    mode, modes = state.get("power_mode"), header.environment.get("facts", {}).get("power_modes") or {}
    if mode is not None and not is_highest(str(mode), modes):
        best = highest_mode(modes)
        notes.append(f"the board is in power mode {mode}, not in its highest, {best[1] if best else 'MAXN'}")
    if state.get("clocks_locked") is False:
        notes.append("clocks not locked: they follow load and heat")
    width, most = state.get("pcie_width"), state.get("pcie_width_max")
    if isinstance(width, int | float) and isinstance(most, int | float) and width < most:
        notes.append(f"the GPU is on {width:.0f} of {most:.0f} PCIe lanes, and copies are timed")
    return notes


def _of_tool(blocks: Sequence[Block]) -> list[str]:
    """What a tool of the device warned of itself, and in how many blocks."""
    told = Counter(warning for block in blocks for warning in block.warnings)
    return [f"{warning} ({number} of {len(blocks)} blocks)" for warning, number in told.items()]


def _of_blocks(blocks: Sequence[Block]) -> list[str]:
    """What held a GPU's clock down while it was timed, where that voids no block."""
    seen = [str((block.after.gpu or {}).get("gpu_throttle_seen", "")).split(",") for block in blocks]
    capped = sum(POWER_CAP in reasons for reasons in seen)
    if not capped:
        return []
    return [f"the GPU was at its power limit in {capped} of {len(blocks)} blocks, and its clock follows that"]


def _of_energy(header: Header) -> list[str]:
    """What an image takes from the supply, where the device tells."""
    energy: Mapping[str, Any] = header.environment.get("energy") or {}
    images = energy.get("iterations", 0) * header.workload.batch
    if not images:
        return []
    of = header.environment.get("state", {}).get("power_of")
    how = "the GPU's own count" if energy.get("counted") else "sampled"
    return [
        f"for information: {energy['joules'] / images * 1e3:.3g} mJ an image, {energy['power_w']:.1f} W"
        f"{f' of {of}' if of else ''} ({how} over {energy['seconds']:.1f} s untimed)"
    ]
