"""Artifacts of ATen operators: the same values to the bit, the same counts, nothing in them that executes."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from vitbench import catalog, runtime, transport
from vitbench.agent.backends.aten import VERSION, WEIGHTS_FILE, Graph
from vitbench.catalog import Workload
from vitbench.catalog.specs import TargetSpec
from vitbench.errors import ToolError, UsageError
from vitbench.export import Artifact, ArtifactCache, formats, get_artifact, parity
from vitbench.export.networks import make_reference, make_running
from vitbench.export.torch_artifact import capture, write_graph

TARGET = TargetSpec.model_validate(
    {"name": "torch-cpu", "title": "this machine", "transport": "local", "runtime": "cuda-torch"}
    | {"options": {"device": "cpu"}}
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> ArtifactCache:
    return ArtifactCache(tmp_path_factory.mktemp("aten"))


def artifact_of(name: str, cache: ArtifactCache, **fields: Any) -> Artifact:
    made_for = runtime.for_target(TARGET).made_for(None)
    assert made_for.format == "aten"
    return get_artifact(
        Workload(model=catalog.resolve_model(name), **fields),
        cache,
        target_runtime=made_for.runtime,
        runtime_version=made_for.version,
        format_name=made_for.format,
    )


@pytest.mark.parametrize("name", ["effvit-b0-cityscapes:64x128", "attention-4x16+window-softmax:14x14"])
def test_what_is_read_computes_what_the_network_does_to_the_bit(name: str, cache: ArtifactCache) -> None:
    artifact = artifact_of(name, cache, batch=2)
    graph = Graph(artifact.model_file, "cpu")
    workload = Workload(model=catalog.resolve_model(name), batch=2)
    network = make_running(make_reference(workload, None), workload, None)
    x = torch.randn(workload.inputs[0].shape, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        (found,) = graph.module(x)
        assert torch.equal(found, network(x))
    manifest = artifact.manifest
    assert manifest.counts.macs_artifact >= manifest.counts.macs > 0
    assert manifest.nodes is not None
    assert manifest.nodes > 10


def test_it_runs_in_an_agent_and_passes_parity(cache: ArtifactCache) -> None:
    artifact = artifact_of("attention-4x16:7x7", cache)
    engine = runtime.for_target(TARGET)
    with (
        transport.open(TARGET) as link,
        runtime.open_session(link, engine, artifact.model_file, engine.load_options()) as session,
    ):
        found = parity.check(artifact, session)
    assert found.passed, found.reason
    assert found.max_diff is not None
    assert found.max_diff < 1e-5


def test_half_precision_keeps_its_islands_in_single(cache: ArtifactCache) -> None:
    artifact = artifact_of("attention-4x16:7x7", cache, precision="fp16")
    told = json.loads(artifact.model_file.read_text())
    assert {tensor.dtype for tensor in (*artifact.manifest.inputs, *artifact.manifest.outputs)} == {"float16"}
    types = [word["dtype"] for node in told["nodes"] for word in node.get("args", []) if "dtype" in str(word)]
    assert "float32" in types
    assert types[-1] == "float16"


def test_nothing_that_travels_is_an_archive_or_a_pickle(cache: ArtifactCache) -> None:
    artifact = artifact_of("attention-4x16:7x7", cache)
    files = sorted(artifact.model_file.parent.iterdir())
    assert [file.name for file in files] == ["graph.json", WEIGHTS_FILE]
    assert not any(zipfile.is_zipfile(file) for file in files)
    weights = json.loads(files[0].read_text())["weights"]
    assert sum(4 * torch.Size(item["shape"]).numel() for item in weights) <= files[1].stat().st_size


def test_the_version_of_the_form_is_part_of_the_address() -> None:
    assert formats.describe_exporter("aten")["graph"] == VERSION


class Counting(nn.Module):
    output_names = ("out",)

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        assert isinstance(self.seen, Tensor)
        self.seen.add_(1)
        return x + self.seen


class Branching(nn.Module):
    output_names = ("out",)

    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


class Elsewhere(nn.Module):
    output_names = ("out",)

    def forward(self, x: Tensor) -> Tensor:
        return torch.ops.prims.sin(x)  # type: ignore[no-any-return]


class Complex(nn.Module):
    output_names = ("out",)

    def forward(self, x: Tensor) -> Tensor:
        return x + x.to(torch.complex64).abs()


class Packed(nn.Module):
    """What a network from elsewhere may hold: shared weights, integers, a constant, two outputs, a device."""

    output_names = ("first", "second")

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(4, 4)
        self.two = nn.Linear(4, 4)
        self.two.weight = self.one.weight
        self.register_buffer("order", torch.tensor([3, 1, 2, 0]))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        assert isinstance(self.order, Tensor)
        first, second = self.two(self.one(x)).view(2, 4).chunk(2, dim=0)
        places = torch.arange(4, device=x.device, dtype=torch.float32)
        return (first[:, self.order] + places) * torch.tensor([2.0]), torch.nn.functional.gelu(
            second, approximate="tanh"
        )


def written(network: nn.Module, shape: tuple[int, ...], directory: Path) -> Graph:
    path = directory / "graph.json"
    names: tuple[str, ...] = network.output_names  # type: ignore[assignment]
    write_graph(capture(network.eval(), (torch.ones(shape),)), ["x"], names, path)
    return Graph(path, "cpu")


def test_a_network_from_elsewhere_may_hold_much(tmp_path: Path) -> None:
    network = Packed()
    graph = written(network, (2, 4), tmp_path)
    x = torch.randn(2, 4)
    with torch.no_grad():
        for found, expected in zip(graph.module(x), network(x), strict=True):
            assert torch.equal(found, expected)
    assert [item["name"] for item in graph.outputs] == ["first", "second"]
    assert "view" not in (tmp_path / "graph.json").read_text()


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the network changes b_seen"):
        written(Counting(), (4,), tmp_path)
    with pytest.raises(UsageError, match=r"uses prims\.sin\.default, which is no operator of ATen"):
        written(Elsewhere(), (4,), tmp_path)
    with pytest.raises(UsageError, match="type complex64"):
        written(Complex(), (4,), tmp_path)
    with pytest.raises(ToolError, match=r"torch\.export of torch .* failed"):
        written(Branching(), (4,), tmp_path)
