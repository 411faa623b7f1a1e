"""The file of `--exportOutput`: what an engine computed, as text with six digits."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from vitbench.trtexec.refusals import NoResult, Reason

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# No JSON: values that are not finite are written `nan`, `inf` and `-inf`, which is what parity looks for.
_TENSOR = re.compile(
    r'\{\s*"name"\s*:\s*(?P<name>"(?:[^"\\]|\\.)*")\s*,\s*"dimensions"\s*:\s*"(?P<shape>[^"]*)"\s*,'
    r'\s*"values"\s*:\s*\[(?P<values>[^\]]*)\]\s*\}'
)


@dataclass(frozen=True)
class Output:
    """One output; values are float64, which holds whatever was written."""

    name: str
    values: NDArray[np.float64]


def read_outputs(text: str) -> tuple[Output, ...]:
    """Read the file.

    Raises:
        NoResult: it is no such file, is cut, or a tensor has more or fewer values than its shape says.
    """
    body = text.strip()
    if not (body.startswith("[") and body.endswith("]")):
        raise _malformed("it is cut, or no list")
    found = [_output(match) for match in _TENSOR.finditer(body)]
    if not found or body.count('"name"') != len(found):
        raise _malformed("a tensor in it is not whole")
    return tuple(found)


def _output(match: re.Match[str]) -> Output:
    import numpy as np

    name = str(json.loads(match["name"]))
    sides = match["shape"].strip().lower().split("x") if match["shape"].strip() else []
    if not all(side.strip().isdecimal() for side in sides):
        raise _malformed(f"the shape of `{name}` is `{match['shape']}`")
    shape = tuple(int(side) for side in sides)
    try:
        values = np.array(match["values"].replace(",", " ").split(), dtype=np.float64)
    except ValueError:
        raise _malformed(f"`{name}` has a value that is no number") from None
    if values.size != prod(shape):
        raise _malformed(f"`{name}` has {values.size} values, not {prod(shape)}")
    return Output(name, values.reshape(shape))


def _malformed(what: str) -> NoResult:
    message = f"trtexec's file of outputs cannot be read: {what}"
    return NoResult(Reason.MALFORMED, message, "run trtexec again")
