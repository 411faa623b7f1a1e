"""The record: everything one measurement was, in one immutable JSON document.

Times inside blocks are integer nanoseconds; estimates are milliseconds.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

SCHEMA_VERSION = 1
ID_PATTERN = r"^\d{8}T\d{6}Z-[A-Za-z0-9+@._-]+-[0-9a-f]{8}$"

Status = Literal["valid", "parity-failed", "unsteady", "inconclusive"]
Transfers = Literal["timed", "measured-apart", "absent"]
# Whose outputs an artifact is compared with: fp32 PyTorch in train form; for a file that was given, ONNX
# Runtime with every graph optimisation disabled.
Reference = Literal["pytorch", "onnxruntime, unoptimised"]


class Part(BaseModel):
    """Base of every part of a record: immutable, and unknown fields are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class WorkloadPart(Part):
    """What was measured. Resolution is (height, width)."""

    model: str
    family: str
    variant: str
    task: str
    attention: str | None
    form: str
    resolution: tuple[int, int]
    batch: int
    weights: str
    upsample: str | None = None


class TargetPart(Part):
    """Where it was measured."""

    name: str
    transport: str
    runtime: str
    runtime_version: str
    device: str


class Protocol(Part):
    """Everything that changes what is timed. Records that differ here are not compared silently.

    `streams` is how many requests are under way at once; with `overlap` one is copied in or out while another
    one computes. `mode` is how the runtime runs its graph, where it has several ways.
    """

    metric: Literal["latency", "throughput"]
    transfers: Transfers
    zero_copy: bool
    batch: int
    precision: str
    threads: int
    spin_wait: bool
    cuda_graph: bool
    streams: int
    affinity: tuple[int, ...] | None
    builds: int
    overlap: bool = False
    mode: str | None = None


class Plan(Part):
    """How much was sampled: the preset after every override.

    `ci_width` is the half-width at which a block may stop, as a fraction of its median. Caps win over minima.
    A block whose iterations take more than `slow_iteration_s` follows the `slow_*` figures instead, and
    `slow_cap_s` caps its warm-up and its timed part alike. A cell whose first iteration says that it would
    take longer than `cell_limit_s` is not measured. The two blocks of a pair are timed in turns of about
    `turn_s`, both their processes loaded and one of them waiting; None: one block after the other. A turn has
    `turn_min_iterations` at least, a window where that is None. Turns end when the ratio of the pair is known
    to `turn_ci_width`, half of its 95 % interval; None: when both blocks are known to `ci_width`.
    """

    preset: Literal["full", "pairs", "gate", "study", "quick", "quick-pairs", "choice", "paper"]
    blocks: int
    ci_width: float
    warmup_min_iterations: int
    warmup_min_s: float
    warmup_cap_s: float
    timed_min_iterations: int
    timed_min_s: float
    timed_max_iterations: int
    timed_cap_s: float
    window: int = 20
    slow_iteration_s: float = 0.15
    slow_window: int = 3
    slow_warmup_min_iterations: int = 9
    slow_timed_min_iterations: int = 30
    slow_cap_s: float = 120.0
    cell_limit_s: float | None = None
    turn_s: float | None = None
    turn_min_iterations: int | None = None
    turn_ci_width: float | None = None
    seed: int


class Counts(Part):
    """Exact counts. `macs` is of the reference architecture, `macs_artifact` of the graph that ran.

    Traffic is bytes that the layers of the graph that ran read and write.
    """

    params: int
    params_deploy: int
    macs: int
    macs_attention: int
    macs_artifact: int
    bytes_read: int
    bytes_written: int


class GraphFacts(Part):
    """What the runtime makes of a graph.

    `operators` counts them by name. `partitions` are the pieces that the runtime's fast kernels take over;
    `outside` counts the operators that are in none of them. `transposes` are operators that only change the
    layout, and `layout` is that of the first input, None where that is no map.
    """

    operators: dict[str, int]
    transposes: int
    partitions: int
    outside: dict[str, int]
    layout: Literal["NCHW", "NHWC"] | None


class EnginePart(Part):
    """What a device made of the graph, and ran in its place.

    `seconds` is how long building it took, when that was. `typing` says whether the graph's types bound the
    builder; where they did not, `held` layers were kept in fp32 by constraints. `timings` says whether times
    of tactics from earlier builds were there ("used", "new") or fixed ("pinned"), under the `timing_cache`
    that was asked for. `tactic_sources` and `optimization_level` are None where the version has none.
    `cuda_graph_refused` is why its work could not be launched as one graph although that was asked for.
    """

    origin: Literal["built", "reused", "rebuilt"]
    key: str
    sha256: str
    bytes: int
    seconds: float
    version: str
    typing: Literal["strong", "weak"]
    held: int
    layers: int
    tf32: bool
    workspace_mb: int
    optimization_level: int | None
    avg_timing: int
    timing_cache: Literal["keep", "pin", "off"]
    timings: Literal["off", "pinned", "new", "used"]
    tactic_sources: tuple[str, ...] | None
    flags: tuple[str, ...]
    warnings: int
    gpu_name: str
    compute_capability: str
    cuda_driver: str
    aux_streams: int | None = None
    cuda_graph_refused: str | None = None


class ArtifactPart(Part):
    """The exported form that ran. `nodes` are those of its graph; `export_s` is how long making it took."""

    digest: str
    format: str
    exporter: str
    opset: int | None
    bytes: int
    formulation: dict[str, str]
    cache: Literal["built", "reused", "rebuilt"]
    nodes: int | None = None
    export_s: float | None = None
    graph: GraphFacts | None = None
    engine: EnginePart | None = None


class Parity(Part):
    """Artifact against its reference: fp32 PyTorch, or what `reference` says.

    `max_diff` is max |difference| / absmax over all inputs, None when no value was finite. `cosine` is the
    smallest of the inputs; `argmax_agreement` is a share of the `argmax_counted` clear decisions. `reason` is
    why it failed, or what a pass does not show.
    """

    passed: bool
    max_diff: float | None
    tolerance: float
    inputs: int
    finite: bool
    normaliser_min: float | None
    cosine: float | None = None
    argmax_agreement: float | None = None
    argmax_counted: int | None = None
    reason: str | None = None
    reference: Reference = "pytorch"


class Probe(Part):
    """Witnesses read beside a block. None where the machine does not tell, and then listed in `unknown`.

    `foreign_cpu` is how many CPUs other processes kept busy during the block, `stolen_cpu` how many a
    hypervisor kept from this machine: known only after it, as is `throttled` where the machine counts
    throttling events. Memory in units of 2**20 bytes. `phone` is what only a phone tells: its thermal status,
    temperatures, battery and screen. `gpu` is what an agent tells that looks at a GPU, named as in
    `vitbench.agent.gpu.Watch.readings`; clock and temperature are then the GPU's.
    """

    load1: float | None = None
    clock_mhz: float | None = None
    temp_c: float | None = None
    governor: str | None = None
    throttled: bool | None = None
    foreign_cpu: float | None = None
    stolen_cpu: float | None = None
    memory_free_mb: float | None = None
    phone: dict[str, float | str | bool] | None = None
    gpu: dict[str, float | str | bool] | None = None
    unknown: tuple[str, ...] = ()

    @model_serializer(mode="wrap")
    def _without_what_no_gpu_told(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Records of processors stay as they were."""
        data: dict[str, Any] = serialise(self)
        return {name: value for name, value in data.items() if name != "gpu" or value is not None}


class Samples(Part):
    """Raw iterations in nanoseconds, in the order they ran. Parts are empty where they are not timed."""

    total_ns: tuple[int, ...]
    h2d_ns: tuple[int, ...] = ()
    compute_ns: tuple[int, ...] = ()
    d2h_ns: tuple[int, ...] = ()


class Told(Part):
    """Statistics of iterations whose single times the device's tool keeps to itself; in nanoseconds.

    Each is None where the tool does not tell it.
    """

    count: int
    min_ns: int | None
    max_ns: int | None
    avg_ns: int | None
    std_ns: int | None
    p5_ns: int | None
    median_ns: int | None
    p95_ns: int | None


class Pause(Part):
    """The timed part stood still while the screen was refreshed, then ran some iterations untimed."""

    after_iterations: int
    duration_ms: float
    untimed_iterations: int


class Block(Part):
    """One fresh process: warm-up, then timed iterations.

    `duration_s` is on the device's clock, without loading. `ci_half_width` is that of the 95 % interval of
    `median_ms`, as a fraction of it, over batches of `batch_iterations`; None under two batches. `invalid`
    names the external witness against the block, and its samples are then in no estimate.

    Where a tool of the device times whole series and tells only statistics, the samples are empty: `told` and
    `told_warmup` have those, `median_ms` is of the compute part alone, the average where the tool tells no
    median, and `steady` is None, because nobody saw the warm-up. A tool may tell samples without those of the
    warm-up. `warnings` are its own.

    `turns`: the timed iterations, counted from 0, with which its turns beside another block began.
    """

    index: int
    started_utc: str
    duration_s: float
    steady: bool | None
    warmup: Samples
    samples: Samples
    batch_iterations: int
    median_ms: float
    ci_half_width: float | None
    load_ms: float
    first_inference_ms: float
    peak_memory_mb: float | None
    pauses: tuple[Pause, ...] = ()
    turns: tuple[int, ...] = ()
    told: Told | None = None
    told_warmup: Told | None = None
    before: Probe
    after: Probe
    invalid: str | None = None
    warnings: tuple[str, ...] = ()


class Estimate(Part):
    """The figures a reader quotes, in ms unless the name says otherwise.

    `latency_ms` is the median of the block medians (host wall clock, input in host memory to output in
    host memory); `ci_low_ms`, `ci_high_ms` its 95 % interval. Tails are None where too few effective
    iterations were taken. `residual_ms` = latency - parts.
    """

    latency_ms: float | None
    ci_low_ms: float | None
    ci_high_ms: float | None
    h2d_ms: float | None
    compute_ms: float | None
    d2h_ms: float | None
    residual_ms: float | None
    latency_paper_ms: float | None
    throughput_img_s: float | None = None
    throughput_low_img_s: float | None = None
    throughput_high_img_s: float | None = None
    p90_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    load_ms: float
    first_inference_ms: float
    peak_memory_mb: float | None
    outliers_mild: int
    outliers_severe: int
    iterations: int
    blocks: int
    blocks_steady: int
    blocks_replaced: int
    within_process_only: bool


class Header(Part):
    """What is known of a run before its first block. `artifact` and `parity` are None for a scripted target.

    `id` is the stem of the record's file name: see `vitbench.records.store.new_id`.
    """

    schema_version: int = SCHEMA_VERSION
    kind: Literal["run"] = "run"
    id: Annotated[str, Field(pattern=ID_PATTERN)]
    created_utc: str
    vitbench_version: str
    simulated: bool
    workload: WorkloadPart
    target: TargetPart
    protocol: Protocol
    plan: Plan
    counts: Counts
    artifact: ArtifactPart | None
    parity: Parity | None
    environment: dict[str, Any]


class Record(Header):
    """One run of one cell. `estimate` is None where no block could be used."""

    status: Status
    reasons: tuple[str, ...] = ()
    estimate: Estimate | None
    blocks: tuple[Block, ...]
