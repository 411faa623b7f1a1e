"""Frozen, validated descriptions of models, targets and workloads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from vitbench.catalog.names import base_name

Size = Annotated[int, Field(gt=0)]
Resolution = tuple[Size, Size]
Form = Literal["deploy", "reparam", "train"]
Values = Literal["normal", "box", "integers", "zeros"]
Metric = Literal["latency", "throughput"]
# Types of which every value may be drawn: wider integers may be indices into something.
INTEGERS = ("uint8", "int8")

# Where networks come from that are not in the catalog, and those of them that bring their weights.
SOURCES = ("timm", "onnx", "py")
OWN_WEIGHTS = ("onnx", "py")
# Tasks without a map that is made larger, and parts without attention of the family's kinds.
WITHOUT_UPSAMPLING = ("cls", "backbone", "decoder", "sr")
WITHOUT_KINDS = ("decoder",)


class Spec(BaseModel):
    """Base of every spec: immutable, and unknown fields are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class InputSpec(Spec):
    """One input of a network: without the batch in the description of a model, with it in a workload.

    `values` says what stands in it when it is made up: standard normal numbers, one box (x0, y0, x1, y1) in
    the pixels of a 1024 x 1024 image, integers from the whole range of their type, or zeros. `dtype` is
    numpy's name; a workload of another precision has its float inputs in that.
    """

    name: str = "input"
    shape: tuple[Size, ...]
    dtype: str = "float32"
    values: Values = "normal"

    @model_validator(mode="after")
    def _values_fit_the_type(self) -> InputSpec:
        fits = self.dtype in INTEGERS if self.values == "integers" else self.dtype.startswith("float")
        if self.values != "zeros" and not fits:
            raise ValueError(f"input '{self.name}' is {self.dtype}, which is not made of '{self.values}'")
        return self

    @property
    def is_map(self) -> bool:
        """Whether it holds normalised images or maps of features (N, C, H, W)."""
        return self.values == "normal" and len(self.shape) == 4


Inputs = Sequence[InputSpec] | Sequence[int]


def as_inputs(inputs: Inputs) -> tuple[InputSpec, ...]:
    """Descriptions of inputs as they are; a bare shape is that of one image `input`."""
    described = tuple(item for item in inputs if isinstance(item, InputSpec))
    if described:
        return described
    return (InputSpec(shape=tuple(int(side) for side in inputs if not isinstance(side, InputSpec))),)


class Published(Spec):
    """One published figure. Latency in ms, accuracy in per cent; resolution None where the source is silent.

    `source` names an entry of the family's sources, `note` one of its notes: why it differs from ours.
    """

    resolution: Resolution | None = None
    params_m: float | None = None
    macs_g: float | None = None
    metric: str | None = None
    dataset: str | None = None
    value: float | None = None
    latency_ms: float | None = None
    throughput_img_s: float | None = None
    device: str | None = None
    runtime: str | None = None
    precision: str | None = None
    batch: int | None = None
    source: str
    note: str | None = None


class VariantSpec(Spec):
    """One named network of a family.

    `hyper` is passed as it stands to the builder: the variant's own, else the family's. `channels` are those
    of the image or map that comes in, and `inputs` is for a network of other inputs than one. `design` says
    whose network it is: one of the family's authors, or one of ours where theirs is not public. `stride` is
    given where it is not the family's.
    """

    task: str
    resolution: Resolution
    stride: Size | None = None
    builder: str | None = None
    channels: Size = 3
    inputs: tuple[InputSpec, ...] = ()
    design: Literal["original", "vitbench"] = "original"
    hyper: dict[str, Any] = {}
    published: tuple[Published, ...] = ()


class FamilySpec(Spec):
    """A family of networks: one TOML file under models/.

    The first attention kind is the published one, and so is the first way of upsampling. `sized_by` names
    hyper-parameters that the name of a variant gives as numbers, `8x16`; see `vitbench.catalog.sized`.
    """

    family: Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*$")]
    title: str
    builder: str
    paper: str
    licence: str
    stride: Size
    attention: tuple[str, ...] = ()
    upsample: tuple[str, ...] = ()
    forms: tuple[Form, ...] = ("deploy", "train")
    sized_by: tuple[str, ...] = ()
    sources: dict[str, str] = {}
    notes: dict[str, str] = {}
    override: bool = False
    variants: dict[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")], VariantSpec]

    @model_validator(mode="after")
    def _names_are_distinct(self) -> FamilySpec:
        if self.family in SOURCES:
            raise ValueError(f"family '{self.family}' would be taken for a source of networks from elsewhere")
        if twice := set(self.attention) & set(self.upsample):
            raise ValueError(f"{', '.join(sorted(twice))} is both an attention kind and a way of upsampling")
        return self

    @model_validator(mode="after")
    def _sized_by_a_listed_variant(self) -> FamilySpec:
        if self.sized_by and not self.variants:
            raise ValueError("a family that is sized by hyper-parameters needs a variant to begin with")
        return self

    @model_validator(mode="after")
    def _references_are_known(self) -> FamilySpec:
        for name, variant in self.variants.items():
            for figure in variant.published:
                self._check_key(name, "source", figure.source, self.sources)
                if figure.note is not None:
                    self._check_key(name, "note", figure.note, self.notes)
        return self

    @staticmethod
    def _check_key(variant: str, what: str, key: str, table: dict[str, str]) -> None:
        if key not in table:
            raise ValueError(
                f"variants.{variant}: published figure names {what} '{key}', "
                f"which [{what}s] does not define ({', '.join(table) or 'it is empty'})"
            )


class ModelSpec(Spec):
    """A resolved model name: which network, at which resolution, with which attention and upsampling.

    Names follow `family[-variant[-task]][+kind][@form][:HxW]`; `+kind` may be a way of upsampling. A network
    from elsewhere has its source (`timm`, `onnx`, `py`) for a family; see `vitbench.catalog.sources`.
    """

    family: str
    variant: str
    builder: str
    task: str
    hyper: dict[str, Any]
    attention: str | None
    default_attention: str | None
    upsample: str | None = None
    default_upsample: str | None = None
    form: Form
    resolution: Resolution
    stride: Size
    channels: Size = 3
    inputs: tuple[InputSpec, ...] = ()

    @property
    def name(self) -> str:
        """The canonical name without the resolution: `effvit-b2+softmax`, `restormer`, `timm:resnet18`."""
        if self.family == "py":
            return f"py:{PurePath(self.hyper['path']).name}:{self.variant}"
        if self.from_elsewhere:
            return f"{self.family}:{self.variant}"
        kind = f"+{self.attention}" if self.attention != self.default_attention else ""
        upsample = f"+{self.upsample}" if self.upsample != self.default_upsample else ""
        form = f"@{self.form}" if self.form != "deploy" else ""
        return f"{base_name(self.family, self.variant)}{kind}{upsample}{form}"

    @property
    def from_elsewhere(self) -> bool:
        """Whether it is no network of the catalog."""
        return self.family in SOURCES

    @property
    def own_weights(self) -> bool:
        """Whether its weights come with it, and no others fit."""
        return self.family in OWN_WEIGHTS

    @property
    def as_published(self) -> bool:
        """Whether attention and upsampling are the published ones, so that published figures are of it."""
        return self.attention == self.default_attention and self.upsample == self.default_upsample

    def batched_inputs(self, batch: int = 1) -> tuple[InputSpec, ...]:
        """Every input with the batch in its shape; one map (N, channels, H, W) where none is named."""
        inputs = self.inputs or (InputSpec(shape=(self.channels, *self.resolution)),)
        return tuple(each.model_copy(update={"shape": (batch, *each.shape)}) for each in inputs)


class TargetSpec(Spec):
    """A device and how it is reached: one TOML file under targets/.

    `serial` says which phone of several is meant, by its serial number or as `host:port`; `host` says which
    machine a board is, as ssh is told: an alias, `host` or `user@host`. `python` is the interpreter that the
    agent runs under there: a path, or a name of one that is found there. `devices` are words that the name of
    the board, or else of the GPU, must have: a figure of another device never fills this one's row. `metrics`
    are what a run measures unless it is told; `lock_clocks` has a board hold its clocks while it is measured,
    where its user may do that; `needs` says what a repeatable measurement on it takes.
    """

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]
    title: str
    transport: str
    runtime: str
    precision: Literal["fp32", "fp16"] = "fp32"
    threads: Size = 1
    serial: Annotated[str, Field(pattern=r"^[!-~]+$")] | None = None
    host: Annotated[str, Field(pattern=r"^[!-~]+$")] | None = None
    python: Annotated[str, Field(pattern=r"^[^-\s][^\n]*$")] | None = None
    devices: tuple[Annotated[str, Field(pattern=r"[A-Za-z0-9]")], ...] = ()
    metrics: Annotated[tuple[Metric, ...], Field(min_length=1)] = ("latency",)
    lock_clocks: bool = False
    needs: tuple[str, ...] = ()
    options: dict[str, Any] = {}
    sim: SimScript | None = None
    override: bool = False

    @model_validator(mode="after")
    def _scripted_or_real(self) -> TargetSpec:
        scripted = {self.transport == "sim", self.runtime == "sim", self.sim is not None}
        if len(scripted) > 1:
            raise ValueError(
                'a scripted target has transport = "sim", runtime = "sim" and a [sim] table, all three'
            )
        return self

    @property
    def simulated(self) -> bool:
        """Whether figures come from a script instead of a device."""
        return self.sim is not None


class SimScript(Spec):
    """What a scripted target does. Times in ms, temperatures in degrees C, rates in 1/s of simulated time."""

    latency_ms: Annotated[float, Field(gt=0)]
    noise: Annotated[float, Field(ge=0, lt=1)] = 0.01
    block_noise: Annotated[float, Field(ge=0, lt=1)] = 0.0
    h2d_ms: Annotated[float, Field(ge=0)] = 0.0
    d2h_ms: Annotated[float, Field(ge=0)] = 0.0
    load_ms: Annotated[float, Field(ge=0)] = 0.0
    warmup_factor: Annotated[float, Field(ge=1)] = 1.0
    warmup_iterations: Annotated[int, Field(ge=0)] = 0
    throttle_after_s: float | None = None
    throttle_factor: Annotated[float, Field(ge=1)] = 1.0
    temp_c: float = 40.0
    temp_rise_c_per_s: float = 0.0
    lose_link_in_block: int | None = None
    lose_link_after: Annotated[int, Field(ge=0)] = 0
    crash_in_block: int | None = None
    crash_at_load: bool = False
    per_model: dict[str, float] = {}
    seed: int = 0


class Workload(Spec):
    """What is measured: a model at its resolution, for a batch, with given weights."""

    model: ModelSpec
    batch: Size = 1
    precision: Literal["fp32", "fp16"] = "fp32"
    weights: str = "seeded:0"

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        """Every input, never none, with the batch in its shape."""
        return self.model.batched_inputs(self.batch)

    @property
    def label(self) -> str:
        """Short human label: `effvit-b2:224x224`, with the batch when it is not 1."""
        height, width = self.model.resolution
        batch = f" b{self.batch}" if self.batch != 1 else ""
        return f"{self.model.name}:{height}x{width}{batch}"


TargetSpec.model_rebuild()
