"""What a reader of a figure should know, whatever its status."""

from __future__ import annotations

from vitbench.records.schema import Header


def notes_of(header: Header) -> tuple[str, ...]:
    """What a passed parity does not show, and precisions that are not what they seem."""
    notes = [header.parity.reason] if header.parity is not None and header.parity.reason else []
    if header.protocol.precision == "fp16" and header.target.runtime == "onnxruntime":
        notes.append("ONNX Runtime computes an fp16 graph in fp32 on a CPU")
    return tuple(notes)
