"""Plain PyTorch on a CUDA device: what measures before TensorRT is there, and what its gain is over."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import metadata
from typing import Any, ClassVar

from vitbench.errors import UsageError
from vitbench.runtime.base import MadeFor, ProtocolFacts, Runtime, StreamFacts, check_options
from vitbench.transport.base import Transport

MODES = ("eager", "compile", "graph")
DEVICE = re.compile(r"cpu|cuda:\d+")
MAX_STREAMS = 16
CPU_BUILD = "+cpu"
_HINT = "install a build of PyTorch with CUDA from pytorch.org, or measure on the target `cpu`"


class CudaTorch(Runtime):
    """A graph of ATen operators, copies through pinned memory, everything on one stream.

    Options of the target: `device` ("cuda:N", default "cuda:0"; or "cpu"), `mode` ("eager", "compile" for
    `torch.compile`, "graph" for one CUDA graph of the computation), `tf32` (default false),
    `cudnn_benchmark` (cuDNN tries its algorithms, default true), `channels_last` (default false), and
    `streams`, which work at once where throughput is measured (default 2).
    """

    name: ClassVar[str] = "cuda-torch"
    artifact_format: ClassVar[str | None] = "aten"

    def version(self) -> str:
        """Version of the installed package."""
        try:
            return metadata.version("torch")
        except metadata.PackageNotFoundError:
            raise UsageError("torch is not installed", _HINT) from None

    def made_for(self, transport: Transport | None) -> MadeFor:
        """Itself; a build of PyTorch without CUDA is refused before anything is made for it.

        What is installed here says nothing of another machine's, or another Python's, PyTorch.
        """
        made = super().made_for(transport)
        here = transport is not None and self.target.transport == "local" and self.target.python is None
        if here and made.version.endswith(CPU_BUILD) and self._device() != "cpu":
            raise UsageError(f"this torch ({made.version}) has no CUDA", _HINT)
        return made

    def found_on(self, transport: Transport, told: Mapping[str, str]) -> str | None:
        """Version of the device's PyTorch; None also where its build has no CUDA and the target needs one."""
        version = super().found_on(transport, told)
        useless = version is not None and version.endswith(CPU_BUILD) and self._device() != "cpu"
        return None if useless else version

    def load_options(
        self,
        *,
        threads: int | None = None,
        affinity: tuple[int, ...] | None = None,
        block: int = 0,
        model: str = "",
    ) -> dict[str, Any]:
        """Every switch of PyTorch that matters, each stated."""
        known = {"device": str, "mode": str, "streams": int, "affinity": list}
        check_options(self.target, known | dict.fromkeys(("tf32", "cudnn_benchmark", "channels_last"), bool))
        self._streams()
        told = self.target.options
        cpus = told.get("affinity") if affinity is None else affinity
        return {
            "device": self._device(),
            "mode": self._chosen("mode", MODES),
            "tf32": told.get("tf32", False),
            "cudnn_benchmark": told.get("cudnn_benchmark", True),
            "channels_last": told.get("channels_last", False),
            "threads": threads or self.target.threads,
            "affinity": None if cpus is None else list(cpus),
        }

    def protocol_facts(self, options: Mapping[str, Any]) -> ProtocolFacts:
        """Both copies are timed; the host spins until the last of a request is done."""
        words = {
            "cuDNN benchmark": options["cudnn_benchmark"],
            "TF32": options["tf32"],
            "channels last": options["channels_last"],
        }
        on_device = options["device"] != "cpu"
        return {
            "transfers": "timed",
            "zero_copy": False,
            "spin_wait": on_device or options["threads"] > 1,
            "cuda_graph": options["mode"] == "graph",
            "streams": 1,
            "mode": ", ".join([options["mode"], *(word for word, said in words.items() if said)]),
        }

    def stream_facts(self, options: Mapping[str, Any]) -> StreamFacts | None:
        """So many streams, each copying in, computing and copying out; a processor has none."""
        return None if options["device"] == "cpu" else {"streams": self._streams(), "overlap": True}

    def _streams(self) -> int:
        streams: int = self.target.options.get("streams", 2)
        if 2 <= streams <= MAX_STREAMS:
            return streams
        raise UsageError(
            f"option 'streams' of target '{self.target.name}' must be from 2 to {MAX_STREAMS}, not {streams}",
            "latency is measured on one stream in any case",
        )

    def _device(self) -> str:
        device = self.target.options.get("device", "cuda:0")
        if isinstance(device, str) and DEVICE.fullmatch(device):
            return device
        raise UsageError(
            f"option 'device' of target '{self.target.name}' must be cuda:N or cpu, not {device!r}",
            "the first CUDA device is cuda:0",
        )

    def _chosen(self, name: str, known: tuple[str, ...]) -> str:
        value: str = self.target.options.get(name, known[0])
        if value in known:
            return value
        raise UsageError(
            f"option '{name}' of target '{self.target.name}' must be one of {', '.join(known)}, "
            f"not {value!r}",
            f"the default is {known[0]}",
        )
