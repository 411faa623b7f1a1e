"""Networks that a function in a Python file returns."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitbench.catalog.elsewhere import (
    DEFAULT_RESOLUTION,
    NO_RESOLUTION,
    hash_bytes,
    make_spec,
    read_file,
    split_resolution,
)
from vitbench.catalog.nearest import unknown
from vitbench.catalog.specs import InputSpec, ModelSpec, Resolution
from vitbench.errors import UsageError
from vitbench.remarks import Remarks

if TYPE_CHECKING:
    from torch import Tensor


def resolve_py(name: str, rest: str, resolution: Resolution | None) -> ModelSpec:
    """Resolve `py:FILE.py:function[:HxW]`; an attribute `input_shape` of the module says what it takes."""
    place, resolution = split_resolution(name, rest, resolution)
    file, colon, function = place.rpartition(":")
    if not colon or not file or not function.isidentifier():
        raise UsageError(
            f"'{name}' names no function", "write py:FILE.py:function, for example py:net.py:build"
        )
    path = Path(file).absolute()
    hyper: dict[str, Any] = {
        "path": str(path),
        "function": function,
        "sha256": hash_bytes(read_file(path, name)),
    }
    network = call_function(hyper)
    hyper["state"] = hash_state(network)
    shape = getattr(network, "input_shape", None)
    if shape is None:
        return make_spec("py", function, hyper, resolution or DEFAULT_RESOLUTION)
    if not isinstance(shape, tuple | list) or not all(isinstance(side, int) and side > 0 for side in shape):
        raise UsageError(
            f"`input_shape` of what {name} returns is {shape!r}",
            "write positive integers without the batch, for example (3, 224, 224)",
        )
    if len(shape) != 3:
        if resolution is not None:
            raise UsageError(f"{name} takes no image, but an input of shape {shape}", "drop the resolution")
        return make_spec("py", function, hyper, NO_RESOLUTION, (InputSpec(shape=tuple(shape)),))
    size = resolution or (shape[1], shape[2])
    return make_spec(
        "py", function, hyper, size, () if shape[0] == 3 else (InputSpec(shape=(shape[0], *size)),)
    )


def call_function(hyper: Mapping[str, Any]) -> Any:
    """Run a Python file, once for each content, and return what its function returns with the seed 0.

    It runs as this program does: with all rights of the user. What it prints goes to standard error. The
    folder of the file is searched for what it imports, after everything else.

    Args:
        hyper: of a `py` spec: path, function, and the hash that the file must have.

    Raises:
        UsageError: the file has changed, it or its function fails, or there is no such function.
    """
    import contextlib

    path, function = Path(hyper["path"]), hyper["function"]
    data = read_file(path, f"py:{path}:{function}")
    if hash_bytes(data) != hyper["sha256"]:
        raise UsageError(f"{path} changed while it was read", "run the command again")
    told = Remarks()
    with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
        module = _guarded(path, lambda: _run_file(path, data))
        build = getattr(module, function, None)
        if not callable(build):
            names = [each for each, value in vars(module).items() if callable(value)]
            raise unknown(f"function of {path}", function, names, f"grep '^def' {path.name}")
        import torch

        # What it draws is the same each time, and what others draw is not disturbed.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return _guarded(path, build)


def hash_state(network: Any) -> str | None:
    """SHA-256 over names, types, shapes and values of a module's parameters and buffers; None of no module.

    A function may read them from anywhere, so that its file does not say what they are.
    """
    from torch import nn

    if not isinstance(network, nn.Module):
        return None
    digest = hashlib.sha256()
    for name, tensor in (*network.named_parameters(), *network.named_buffers()):
        digest.update(f"{name} {tensor.dtype} {_shape(tensor)}\n".encode())
        digest.update(_bytes(tensor))
    return digest.hexdigest()


def _shape(tensor: Tensor) -> tuple[int, ...] | None:
    """Shape; None of a parameter that has none before the first inference."""
    from torch.nn.parameter import is_lazy

    return None if is_lazy(tensor) else tuple(tensor.shape)


def _bytes(tensor: Tensor) -> bytes | memoryview:
    """Values as they lie in memory; none where there are none, or no dense ones, which cannot be exported."""
    import torch

    if _shape(tensor) is None or tensor.is_meta or tensor.is_quantized or tensor.layout != torch.strided:
        return b""
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data


def _run_file(path: Path, data: bytes) -> Any:
    from types import ModuleType

    name = f"vitbench_py_{hash_bytes(str(path).encode() + data)[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    module = ModuleType(name)
    module.__file__ = str(path)
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    sys.modules[name] = module  # where dataclasses and pickles look for it
    try:
        exec(compile(data, str(path), "exec"), module.__dict__)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _guarded(path: Path, call: Callable[[], Any]) -> Any:
    """Call code of the user's; what it raises is a usage error with the last line of its traceback."""
    import traceback

    try:
        return call()
    except (Exception, SystemExit) as error:
        lines = [
            frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)
        ]
        where = f"{path}, line {lines[-1]}" if lines else str(path)
        last = traceback.format_exception_only(error)[-1].strip()
        raise UsageError(f"{where}: {last}", "correct the file; it runs with `python` as it is") from error
