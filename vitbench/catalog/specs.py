"""Frozen, validated descriptions of models, targets and workloads."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Size = Annotated[int, Field(gt=0)]
Resolution = tuple[Size, Size]
Form = Literal["deploy", "train"]


class Spec(BaseModel):
    """Base of every spec: immutable, and unknown fields are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Published(Spec):
    """One published figure. Latency in ms, accuracy in per cent; resolution None where the source is silent.

    `source` names an entry of the family's sources.
    """

    resolution: Resolution | None = None
    params_m: float | None = None
    macs_g: float | None = None
    metric: str | None = None
    value: float | None = None
    latency_ms: float | None = None
    throughput_img_s: float | None = None
    device: str | None = None
    runtime: str | None = None
    precision: str | None = None
    batch: int | None = None
    source: str


class VariantSpec(Spec):
    """One named network of a family.

    `hyper` is passed as it stands to the family's builder.
    """

    task: str
    resolution: Resolution
    hyper: dict[str, Any] = {}
    published: tuple[Published, ...] = ()


class FamilySpec(Spec):
    """A family of networks: one TOML file under models/. The first attention kind is the published one."""

    family: Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*$")]
    title: str
    builder: str
    paper: str
    licence: str
    stride: Size
    attention: tuple[str, ...] = ()
    forms: tuple[Form, ...] = ("deploy", "train")
    sources: dict[str, str] = {}
    override: bool = False
    variants: dict[str, VariantSpec]

    @model_validator(mode="after")
    def _sources_are_known(self) -> FamilySpec:
        for name, variant in self.variants.items():
            for figure in variant.published:
                if figure.source not in self.sources:
                    raise ValueError(
                        f"variants.{name}: published figure names source '{figure.source}', "
                        f"which [sources] does not define ({', '.join(self.sources) or 'it is empty'})"
                    )
        return self


class ModelSpec(Spec):
    """A resolved model name: which network, at which resolution, with which attention.

    Names follow `family-variant[-task][+kind][@form][:HxW]`.
    """

    family: str
    variant: str
    builder: str
    task: str
    hyper: dict[str, Any]
    attention: str | None
    default_attention: str | None
    form: Form
    resolution: Resolution
    stride: Size

    @property
    def name(self) -> str:
        """The canonical name without the resolution: `effvit-b2`, `effvit-b2+softmax`."""
        kind = f"+{self.attention}" if self.attention != self.default_attention else ""
        form = f"@{self.form}" if self.form != "deploy" else ""
        return f"{self.family}-{self.variant}{kind}{form}"


class TargetSpec(Spec):
    """A device and how it is reached: one TOML file under targets/."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]
    title: str
    transport: str
    runtime: str
    precision: Literal["fp32", "fp16"] = "fp32"
    threads: Size = 1
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
    def input_shape(self) -> tuple[int, int, int, int]:
        """NCHW shape of the input."""
        return (self.batch, 3, *self.model.resolution)

    @property
    def label(self) -> str:
        """Short human label: `effvit-b2:224x224`, with the batch when it is not 1."""
        height, width = self.model.resolution
        batch = f" b{self.batch}" if self.batch != 1 else ""
        return f"{self.model.name}:{height}x{width}{batch}"


TargetSpec.model_rebuild()
