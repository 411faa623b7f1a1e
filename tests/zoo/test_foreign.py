"""Networks of timm and of Python files as networks of the zoo."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import vitbench
from tests.export.ort import open_model
from vitbench import catalog, zoo
from vitbench.counting import count_model, count_onnx
from vitbench.errors import UsageError
from vitbench.export.onnx import export_onnx
from vitbench.zoo.deploy import to_deploy
from vitbench.zoo.init import seed_weights

STAND_IN = Path(__file__).parents[1] / "support" / "stand_in"
NET = """
import torch
from torch import nn
class Net(nn.Module):
    input_shape = (3, 16, 8)
    def __init__(self, packed):
        super().__init__()
        self.packed = packed
        self.conv = nn.Conv2d(3, 4, 3)
        self.drop = nn.Dropout(0.5)
    def forward(self, x):
        y = self.drop(self.conv(x))
        return self.packed(y)
def one():
    return Net(lambda y: y)
def pair():
    return Net(lambda y: (y, None, y.mean((2, 3))))
def named():
    return Net(lambda y: {"map": y, "pooled": {"mean": y.mean((2, 3))}})
def numbers():
    return Net(lambda y: 3)
def number():
    return 3
def decides():
    return Net(lambda y: y if y.sum() > 0 else -y)
def holds():
    net = Net(lambda y: y)
    net.table = torch.ones(4, 1, 1)
    net.packed = lambda y: y + net.table
    return net
"""


@pytest.fixture
def net(tmp_path: Path) -> str:
    (tmp_path / "net.py").write_text(NET)
    return f"py:{tmp_path / 'net.py'}"


@pytest.fixture
def timm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(STAND_IN))


@pytest.mark.usefixtures("timm")
def test_a_network_of_timm_has_its_own_keys_and_seeded_weights() -> None:
    module = vitbench.build("timm:plain_tiny", resolution=32)
    assert module.output_names == ("logits",)
    assert "bn.running_var" in module.state_dict()
    assert not module.training
    same = zoo.create(catalog.resolve_model("timm:plain_tiny:32"))
    seed_weights(same, 0)
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert torch.equal(module(x), same(x))
    assert not torch.equal(module(x)[0], module(x)[1])


@pytest.mark.usefixtures("timm")
def test_a_network_of_timm_is_built_for_the_resolution() -> None:
    assert zoo.create(catalog.resolve_model("timm:fixed_tiny:64x32")).position.shape == (1, 3, 64, 32)
    assert count_model(catalog.resolve_model("timm:plain_tiny:32")).macs == 16 * 16 * 8 * 27 + 80
    with pytest.raises(UsageError, match=r"stubborn_tiny does not run .* \(1, 3, 64, 64\): AssertionError"):
        count_model(catalog.resolve_model("timm:stubborn_tiny:64"))


def test_a_users_network_keeps_its_weights(net: str) -> None:
    first, second = (vitbench.build(f"{net}:one") for _ in range(2))
    assert first.output_names == ("output",)
    torch.manual_seed(1)
    third = vitbench.build(f"{net}:one")
    drawn = torch.rand(1)
    torch.manual_seed(1)
    assert torch.equal(drawn, torch.rand(1))
    # Those of the layer's own initialisation, the same each time: not left as allocated, not seeded anew.
    weight = first.conv.weight
    assert torch.equal(weight, second.conv.weight)
    assert torch.equal(weight, third.conv.weight)
    assert 0.1 < float(weight.abs().max()) <= 27**-0.5
    before = weight.clone()
    seed_weights(first, 7)
    assert torch.equal(first.conv.weight, before)
    assert not first.drop.training


def test_outputs_in_any_packing_have_names(net: str, tmp_path: Path) -> None:
    pair = vitbench.build(f"{net}:pair")
    assert pair.output_names == ("output_0", "output_2")
    named = vitbench.build(f"{net}:named")
    assert named.output_names == ("map", "pooled_mean")
    export_onnx(to_deploy(named), (1, 3, 16, 8), tmp_path / "net.onnx")
    x = torch.randn(1, 3, 16, 8)
    session = open_model(tmp_path / "net.onnx")
    assert [output.name for output in session.get_outputs()] == ["map", "pooled_mean"]
    for value, expected in zip(session.run(None, {"input": x.numpy()}), named(x), strict=True):
        assert torch.allclose(torch.from_numpy(value), expected, atol=1e-6)
    assert count_onnx(tmp_path / "net.onnx").macs == count_model(catalog.resolve_model(f"{net}:named")).macs


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("numbers", "returns no tensor"),
        ("number", "returns int, not a torch.nn.Module"),
        ("decides", "decides does not run on an input of shape"),
        ("holds", "holds does not run on an input of shape"),
    ],
)
def test_networks_that_cannot_be_measured_are_refused(net: str, function: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        vitbench.build(f"{net}:{function}")


def test_a_file_that_changes_on_the_way_is_noticed(net: str) -> None:
    spec = catalog.resolve_model(f"{net}:one")
    Path(net[3:]).write_text(NET + "\n")
    with pytest.raises(UsageError, match="changed while it was read"):
        zoo.create(spec)


def test_a_graph_and_a_network_with_weights_are_told_apart(net: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="brings its own weights"):
        vitbench.build(f"{net}:one", weights=tmp_path / "weights.pt")
    module = vitbench.build(f"{net}:one")
    export_onnx(module, (1, 3, 16, 8), tmp_path / "net.onnx")
    with pytest.raises(UsageError, match="is a graph, not a network"):
        vitbench.build(f"onnx:{tmp_path / 'net.onnx'}")
    counts = count_model(catalog.resolve_model(f"onnx:{tmp_path / 'net.onnx'}"))
    assert (counts.params, counts.macs) == (4 * 27 + 4, 14 * 6 * 4 * 27)
