"""An ONNX file to an engine, or the engine that was built of it before. Runs in a process of its own."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any, Dict, Tuple

from .. import cuda
from ..cuda import facts as gpu_facts
from ..errors import AgentError
from . import config, module, network, versions
from .options import BuildOptions
from .store import EngineStore, digest_of, digest_of_model, key_of

# What makes one GPU's tactics another's.
IDENTITY = ("gpu_name", "compute_capability", "multiprocessors", "cuda_driver")


def build(request: Dict[str, Any]) -> Dict[str, Any]:
    """Find or build the engine of a model.

    Args:
        request: `model` (path of an ONNX file, alone in its directory with its weights), `options` (those of
            `BuildOptions`).

    Returns:
        `engine` (path), `key`, `origin` ("built", "reused", "rebuilt": the kept one was damaged, or another
        one was asked for), and how it was built: `seconds`, `bytes`, `sha256`, `version` of TensorRT,
        `typing` ("strong" or "weak"), `held` (layers kept in fp32 by constraints), `layers`, `flags`,
        `tactic_sources`, `optimization_level`, `timings` ("off", "pinned", "new", or "used": times of earlier
        builds were there), `warnings`, the options that decide it, and the GPU.

    Raises:
        AgentError: there is no GPU or no TensorRT, or it refuses the model.
    """
    options = BuildOptions(request.get("options") or {})
    model = Path(str(request.get("model")))
    if not model.is_file():
        raise AgentError("io", f"no model file {model}")
    driver = cuda.load()
    gpu = gpu_facts.facts(driver, options.device)
    trt = module.load()
    numbers = versions.parse(trt.__version__)
    machine = {"version": trt.__version__, **{name: gpu.get(name) for name in IDENTITY}}
    store = EngineStore(options.directory)
    timing = store.timing(machine)
    parts = {**machine, **options.deciding(), "model": digest_of_model(model)}
    if options.timing_cache == "pin":
        parts["timing_sha256"] = _pinned(timing)
    key = key_of(parts)
    there = store.there(key)
    described = None if options.rebuild else store.find(key)
    origin = "reused" if described else "rebuilt" if there else "built"
    if described is None:
        with cuda.Context(driver, options.device, spin_wait=False):
            plan, told = _Builder(trt, numbers, options, store, timing).build(str(model))
            described = store.keep(key, plan, {**parts, **told})
    return {**described, "engine": str(store.engine(key)), "key": key, "origin": origin}


def _pinned(timing: Path) -> str:
    """Hash of the timing cache that is pinned."""
    if not timing.is_file():
        raise AgentError(
            "usage", f'there is no timing cache to pin ({timing}): build once with timing_cache = "keep"'
        )
    return digest_of(timing)


class _Builder:
    """One build."""

    def __init__(
        self,
        trt: Any,
        numbers: Tuple[int, int],
        options: BuildOptions,
        store: EngineStore,
        timing: Path,
    ) -> None:
        self._trt, self._numbers, self._options, self._store = trt, numbers, options, store
        self._logger = module.make_logger(trt)
        self._timing = timing

    def build(self, model: str) -> Tuple[Any, Dict[str, Any]]:
        """The engine's bytes, and how it was built."""
        trt, options, logger = self._trt, self._options, self._logger
        begin = time.monotonic()
        builder = trt.Builder(logger)
        graph = network.create(trt, builder, self._numbers)
        network.parse(trt, graph, model, logger)
        network.refuse_free_shapes(graph)
        strong = versions.strongly_typed(self._numbers)
        constrained = not strong and options.precision == "fp16"
        held = network.hold_islands(trt, graph, options.islands) if constrained else 0
        settings = config.create(trt, builder, self._numbers, options)
        timing = self._attach_timing(settings)
        print(f"building an engine of {graph.num_layers} layers", file=sys.stderr, flush=True)
        plan = builder.build_serialized_network(graph, settings)
        if plan is None:
            raise module.failure(f"{trt.__version__} cannot build an engine of {model}", logger)
        if options.timing_cache == "keep":
            self._store.keep_timing(self._timing, settings.get_timing_cache().serialize())
        return plan, {
            "seconds": round(time.monotonic() - begin, 3),
            "typing": "strong" if strong else "weak",
            "held": held,
            "layers": graph.num_layers,
            "timings": timing,
            "warnings": logger.warnings,
            **config.describe(trt, settings, self._numbers),
        }

    def _attach_timing(self, settings: Any) -> str:
        """Give the builder the times of tactics that are kept; returns what there was.

        A build that is made anew measures them anew: with the old times it would be the old engine again.
        """
        mode = self._options.timing_cache
        if mode == "off":
            return "off"
        kept = self._timing.is_file() and not (mode == "keep" and self._options.rebuild)
        content = self._timing.read_bytes() if kept else b""
        if content and not self._set_timing(settings, content):
            if mode == "pin":
                raise module.failure(f"refuses the timing cache {self._timing}", self._logger)
            print(f"{self._timing} is not taken, and made anew", file=sys.stderr, flush=True)
            content = b""
        if not content and not self._set_timing(settings, b""):
            raise module.failure("takes no timing cache", self._logger)
        return "pinned" if mode == "pin" else "used" if content else "new"

    @staticmethod
    def _set_timing(settings: Any, content: bytes) -> bool:
        """Whether the builder takes these times of tactics: not those of another GPU or version."""
        cache = settings.create_timing_cache(content)
        return cache is not None and bool(settings.set_timing_cache(cache, False))
