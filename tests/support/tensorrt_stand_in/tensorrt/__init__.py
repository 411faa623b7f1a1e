"""A stand-in for TensorRT's Python package: what the agent uses of it, as each version has it."""

from __future__ import annotations

import atexit
import ctypes
import json
import os
import signal
import time
from enum import IntEnum
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import gpu_stand_in
from gpu_stand_in import GPU, fails

from .graphs import Graph, read_graph

if fails("import"):
    os.abort()

VITBENCH_STAND_IN = True
__version__ = os.environ.get("VITBENCH_STAND_IN_TENSORRT", "10.3.0")
NUMBERS = tuple(int(part) for part in __version__.split(".")[:2])
WEAK, OLD, NEWEST = NUMBERS < (9, 0), NUMBERS < (8, 6), NUMBERS >= (11, 0)
MAGIC = b"stand-in engine\n"
NS_PER_LAYER = 1000


def _enumeration(name: str, *members: str) -> Any:
    return IntEnum(name, {member: value for value, member in enumerate(members)})


DataType = _enumeration("DataType", "FLOAT", "HALF", "INT8", "INT32", "BOOL", "UINT8", "FP8", "BF16", "INT64")
float32 = DataType.FLOAT
TensorIOMode = _enumeration("TensorIOMode", "NONE", "INPUT", "OUTPUT")
MemoryPoolType = _enumeration("MemoryPoolType", "WORKSPACE", "DLA_MANAGED_SRAM")
ProfilingVerbosity = _enumeration("ProfilingVerbosity", "LAYER_NAMES_ONLY", "NONE", "DETAILED")
LayerInformationFormat = _enumeration("LayerInformationFormat", "ONELINE", "JSON")
LayerType = _enumeration(
    "LayerType",
    *("CONVOLUTION", "CAST", "IDENTITY", "CONSTANT", "SHAPE", "MATRIX_MULTIPLY", "ELEMENTWISE", "UNARY"),
)
_TYPED = () if NEWEST else ("FP16", "INT8", "OBEY_PRECISION_CONSTRAINTS")
BuilderFlag = _enumeration("BuilderFlag", "DEBUG", "TF32", "DISABLE_TIMING_CACHE", *_TYPED)
_OTHERS = () if NEWEST else ("CUBLAS", "CUBLAS_LT", "CUDNN")
TacticSource = _enumeration("TacticSource", *_OTHERS, "EDGE_MASK_CONVOLUTIONS", "JIT_CONVOLUTIONS")
NetworkDefinitionCreationFlag = _enumeration(
    "NetworkDefinitionCreationFlag", *(("EXPLICIT_BATCH",) if WEAK else ("EXPLICIT_BATCH", "STRONGLY_TYPED"))
)


class ILogger:
    """Base of loggers."""

    INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)

    def log(self, severity: int, message: str) -> None:
        raise NotImplementedError


class IProfiler:
    """Base of profilers."""


class Tensor:
    """An input or output of a network or a layer."""

    def __init__(self, name: str, dtype: str, shape: Tuple[int, ...]) -> None:
        self.name, self.dtype, self.shape = name, DataType[dtype], shape


class Layer:
    """A layer; from 11 on nobody can constrain its types."""

    if NEWEST:
        __slots__ = ("_outputs", "name", "num_outputs", "type")

    def __init__(self, name: str, kind: str, outputs: List[Tensor]) -> None:
        self.name, self.type, self._outputs = name, LayerType[kind], outputs
        self.num_outputs = len(outputs)

    def get_output(self, index: int) -> Tensor:
        return self._outputs[index]

    if not NEWEST:

        def set_output_type(self, index: int, dtype: Any) -> None:
            self.__dict__.setdefault("output_types", {})[index] = dtype


class Network:
    """A network definition."""

    def __init__(self, bits: int) -> None:
        known = sum(1 << int(flag) for flag in NetworkDefinitionCreationFlag)
        if bits & ~known or (NUMBERS < (10, 0) and not bits & 1):
            raise TypeError("create_network(): unfit flags")
        self.strong = bool(bits & 2) or NEWEST
        self.graph: Optional[Graph] = None
        self.layers: List[Layer] = []

    @property
    def num_layers(self) -> int:
        return len(self.layers)

    def get_layer(self, index: int) -> Layer:
        return self.layers[index]

    @property
    def num_inputs(self) -> int:
        assert self.graph is not None
        return len(self.graph.inputs)

    def get_input(self, index: int) -> Tensor:
        assert self.graph is not None
        return Tensor(*self.graph.inputs[index])


class ParserError:
    """One error of the parser."""

    def __init__(self, node: int, name: str, text: str) -> None:
        self._node, self._text = node, text
        if not WEAK:
            self.node_name = lambda: name
            self.node_operator = lambda: "Unheard"

    def node(self) -> int:
        return self._node

    def desc(self) -> str:
        return self._text


class OnnxParser:
    """Reads networks; refuses the operator `Unheard`."""

    def __init__(self, network: Network, logger: ILogger) -> None:
        self._network, self._errors = network, []  # type: Network, List[ParserError]

    def parse_from_file(self, path: str) -> bool:
        graph = read_graph(Path(path))
        for index, node in enumerate(graph.nodes):
            if node.op == "Unheard":
                text = "No importer registered for op: Unheard\n"
                self._errors.append(ParserError(index, node.name, text))
            kind = {"Cast": "IDENTITY" if OLD else "CAST"}.get(node.op, node.kind)
            outputs = [Tensor("%s_%d" % (node.name, i), dtype, ()) for i, dtype in enumerate(node.dtypes)]
            if node.op != "Constant":
                self._network.layers.append(Layer(node.name, kind, outputs))
        self._network.graph = graph
        return not self._errors

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def get_error(self, index: int) -> ParserError:
        return self._errors[index]


class TimingCache:
    """Times of tactics."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def serialize(self) -> bytes:
        return self.content + b"+"


class BuilderConfig:
    """A configuration, with the defaults of TensorRT: TF32 on, every source of tactics."""

    def __init__(self) -> None:
        self.flags = {BuilderFlag.TF32}
        self.pools: Dict[str, int] = {}
        self.sources = sum(1 << int(source) for source in TacticSource)
        self.profiling_verbosity = ProfilingVerbosity.LAYER_NAMES_ONLY
        self.avg_timing_iterations = 1
        self.timing: Optional[TimingCache] = None
        if not OLD:
            self.builder_optimization_level = 3

    def set_memory_pool_limit(self, pool: Any, size: int) -> None:
        self.pools[pool.name] = size

    def set_flag(self, flag: Any) -> None:
        self.flags.add(flag)

    def clear_flag(self, flag: Any) -> None:
        self.flags.discard(flag)

    def get_flag(self, flag: Any) -> bool:
        return flag in self.flags

    def set_tactic_sources(self, bits: int) -> bool:
        self.sources = bits
        return True

    def get_tactic_sources(self) -> int:
        return self.sources

    def create_timing_cache(self, content: bytes) -> Optional[TimingCache]:
        return None if content == b"damaged" else TimingCache(content)

    def set_timing_cache(self, cache: TimingCache, ignore_mismatch: bool) -> bool:
        self.timing = cache
        return not cache.content.startswith(b"foreign")

    def get_timing_cache(self) -> Optional[TimingCache]:
        return self.timing


class Builder:
    """Builds engines: what it was told, and the graph."""

    def __init__(self, logger: ILogger) -> None:
        self._logger = logger

    def create_network(self, bits: int = 0) -> Network:
        return Network(bits)

    def create_builder_config(self) -> BuilderConfig:
        return BuilderConfig()

    def build_serialized_network(self, network: Network, config: BuilderConfig) -> Optional[bytes]:
        self._logger.log(ILogger.INFO, "this is for nobody")
        if fails("build-crash"):
            print("the builder says a last word", flush=True)
            os.abort()
        while fails("build-hangs"):
            time.sleep(0.1)
        if fails("build-killed"):
            os.kill(os.getpid(), signal.SIGKILL)
        if fails("build-memory"):
            self._logger.log(
                ILogger.ERROR, "[defaultAllocator.cpp] Error Code 1: Cuda Runtime (out of memory)"
            )
            return None
        if fails("crash-at-end"):
            atexit.register(os.abort)
        if fails("build-refused"):
            self._logger.log(ILogger.ERROR, "Could not find any implementation for node {ForeignNode[a...b]}")
            return None
        assert network.graph is not None
        told = {
            "version": __version__,
            "strong": network.strong,
            "flags": sorted(flag.name for flag in config.flags),
            "sources": config.sources,
            "workspace": config.pools.get("WORKSPACE"),
            "verbosity": config.profiling_verbosity.name,
            "avg_timing": config.avg_timing_iterations,
            "level": getattr(config, "builder_optimization_level", None),
            "timing": None if config.timing is None else config.timing.content.decode(),
            "layers": [layer.name for layer in network.layers],
            "held": [
                layer.name
                for layer in network.layers
                if getattr(layer, "precision", None) is float32
                and set(getattr(layer, "output_types", {}).values()) == {float32}
            ],
        }
        return MAGIC + json.dumps(told).encode() + b"\n" + network.graph.content


class Runtime:
    """Loads engines."""

    def __init__(self, logger: ILogger) -> None:
        if gpu_stand_in.fails("no-gpu"):
            os.abort()
        self._logger = logger

    def deserialize_cuda_engine(self, plan: bytes) -> Optional[Engine]:
        if not plan.startswith(MAGIC):
            self._logger.log(ILogger.ERROR, "Serialization assertion stdVersionRead failed")
            return None
        told, _, content = plan[len(MAGIC) :].partition(b"\n")
        return Engine(json.loads(told), Graph.of(content))


class Engine:
    """An engine."""

    def __init__(self, told: Dict[str, Any], graph: Graph) -> None:
        self.told, self.graph = told, graph
        self._tensors = {tensor[0]: tensor for tensor in (*graph.inputs, *graph.outputs)}
        self.num_io_tensors = len(self._tensors)
        if not OLD:
            self.num_aux_streams = 0

    def get_tensor_name(self, index: int) -> str:
        return list(self._tensors)[index]

    def get_tensor_shape(self, name: str) -> Tuple[int, ...]:
        return self._tensors[name][2]

    def get_tensor_dtype(self, name: str) -> Any:
        return DataType[self._tensors[name][1]]

    def get_tensor_mode(self, name: str) -> Any:
        inputs = [tensor[0] for tensor in self.graph.inputs]
        return TensorIOMode.INPUT if name in inputs else TensorIOMode.OUTPUT

    def create_execution_context(self) -> ExecutionContext:
        return ExecutionContext(self)

    def create_engine_inspector(self) -> EngineInspector:
        return EngineInspector(self)


class EngineInspector:
    """Tells of layers, with details where the engine was built with them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def get_engine_information(self, form: Any) -> str:
        names = self._engine.told["layers"]
        detailed = self._engine.told["verbosity"] == "DETAILED"
        return json.dumps(
            {"Layers": [{"Name": name, "LayerType": "Kernel"} if detailed else name for name in names]}
        )


class ExecutionContext:
    """Runs an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._addresses: Dict[str, int] = {}
        self._ran = self._first = False
        self.profiler: Any = None
        self.enqueue_emits_profile = True

    def set_tensor_address(self, name: str, address: int) -> bool:
        self._addresses[name] = address
        return name in self._engine._tensors

    def execute_async_v3(self, stream: int) -> bool:
        GPU.calls.append("execute_async_v3")
        state = GPU.streams.get(stream)
        if state is None:
            return False
        if state.capture is not None and not self._ran:
            state.broken = True  # what is set up at a first run cannot be recorded
            return False
        self._ran = True
        return GPU.enqueue(stream, self._work) == 0

    def report_to_profiler(self) -> bool:
        if self.profiler is None or self.enqueue_emits_profile:
            return False
        for name in self._engine.told["layers"]:
            self.profiler.report_layer_time(name, NS_PER_LAYER / 1e6)
        return True

    def _work(self) -> int:
        graph = self._engine.graph
        values = {
            name: ctypes.string_at(self._addresses[name], size) for name, size in graph.sizes(graph.inputs)
        }
        for name, value in graph.compute(values).items():
            ctypes.memmove(self._addresses[name], value, len(value))
        return NS_PER_LAYER * len(self._engine.told["layers"])
