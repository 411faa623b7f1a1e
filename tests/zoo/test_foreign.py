"""Networks of timm and of Python files as networks of the zoo."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import nn

import vitbench
from tests.export.ort import OrtSession, open_model
from vitbench import catalog, zoo
from vitbench.catalog import Workload
from vitbench.counting import UnsupportedOperators, count_model, count_onnx
from vitbench.errors import UsageError
from vitbench.export import Artifact, ArtifactCache, get_artifact
from vitbench.export.onnx import export_onnx
from vitbench.export.parity import check
from vitbench.zoo.deploy import to_deploy
from vitbench.zoo.init import seed_weights
from vitbench.zoo.weights import derived_keys, load_reference_state_dict

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
def half():
    return Net(lambda y: y).half()
def double():
    return Net(lambda y: y).double()
def through(packed):
    net = Net(None)
    net.forward = lambda x: packed(x, net.conv(x))
    return net
def thrice():
    return through(lambda x, y: (y, y, y))
def given_back():
    return through(lambda x, y: [x, y, x])
def untouched():
    return nn.Identity()
def unused():
    return through(lambda x, y: x)
def named_like_others():
    net = through(lambda x, y: {"output_input": y + 4, "input": y, "weight": y + 1, "a_b": y + 2,
        "a": {"b": y + 3}, "mul": y * 2})
    net.weight = nn.Parameter(torch.ones(1))
    return net
class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.normaliser = nn.LayerNorm(4)
        self.fold_ = None
        self.merge_ = 3
        self.closing = self.query = self.residual = self.share = self.derived = "x"
        self.quadratic = True
        self.output_names = [1, 2]
        self.checkpoint_refuses = self.checkpoint_prefix = None
    def forward(self, x):
        return self.normaliser(self.conv(x).mean((2, 3))) * len(self.output_names)
def words():
    return Words()
def of_no_seed():
    import os
    net = Net(lambda y: y)
    net.conv.bias.data[:] = torch.tensor(list(os.urandom(4)))
    return net
def weight_norm():
    return nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 3))
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
        ("of_no_seed", "returns other weights than a moment ago"),
        ("half", r"half does not run on an input of shape .*, with weights in float16: "),
        ("double", r"double does not run on an input of shape .*, with weights in float64: "),
    ],
)
def test_networks_that_cannot_be_measured_are_refused(net: str, function: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        vitbench.build(f"{net}:{function}")
    assert (".float()" in str(caught.value.hint)) is (function in ("half", "double"))


@pytest.mark.parametrize(
    ("function", "names"),
    [
        ("thrice", ["output_0", "output_1", "output_2"]),
        ("given_back", ["output_0", "output_1", "output_2"]),
        ("untouched", ["output"]),
        (
            "named_like_others",
            ["output_input", "output_input_2", "output_weight", "a_b", "output_a_b", "mul"],
        ),
    ],
)
def test_outputs_that_a_graph_cannot_have_as_they_are(
    net: str, tmp_path: Path, function: str, names: list[str]
) -> None:
    module = vitbench.build(f"{net}:{function}")
    assert list(module.output_names) == names
    export_onnx(module, (1, 3, 16, 8), tmp_path / "net.onnx")
    x = torch.randn(1, 3, 16, 8)
    found = open_model(tmp_path / "net.onnx").run(names, {"input": x.numpy()})
    for value, expected in zip(found, module(x), strict=True):
        assert torch.allclose(torch.from_numpy(value), expected, atol=1e-6)


def exported(name: str, root: Path) -> Artifact:
    workload = Workload(model=catalog.resolve_model(name), weights="own:0")
    return get_artifact(workload, ArtifactCache(root), target_runtime="onnxruntime", runtime_version="0")


def test_words_of_vitbenchs_own_mean_nothing_in_a_users_network(net: str, tmp_path: Path) -> None:
    built = vitbench.build(f"{net}:words:32")
    plain = built.network
    seed_weights(built, 0)
    assert derived_keys(built) == set()
    x = torch.randn(1, 3, 32, 32)
    assert torch.equal(built(x)[0], plain.normaliser(plain.conv(x).mean((2, 3))) * 2)
    artifact = exported(f"{net}:words:32", tmp_path / "cache")
    assert artifact.manifest.parity.special_file is None
    assert check(artifact, OrtSession(artifact.model_file)).passed


@pytest.mark.usefixtures("timm")
def test_words_of_vitbenchs_own_mean_nothing_in_a_network_of_timm() -> None:
    module = zoo.create(catalog.resolve_model("timm:plain_tiny:32"))
    plain = copy.deepcopy(module)
    seed_weights(plain, 0)
    for part in module.modules():
        part.closing = part.query = part.residual = part.share = part.derived = "x"
        part.quadratic = part.fold_ = part.merge_ = True
        part.checkpoint_prefix = "head."
    seed_weights(module, 0)
    load_reference_state_dict(module, plain.state_dict())
    assert to_deploy(module).state_dict().keys() == plain.state_dict().keys()


def test_what_a_user_takes_of_the_zoo_is_folded_as_ever(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(
        "import vitbench\ndef build():\n    return vitbench.build('effvit-b0', deploy=False)\n"
    )
    module = to_deploy(vitbench.build(f"py:{tmp_path / 'net.py'}:build", deploy=False))
    assert not [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]


def test_what_is_computed_and_not_returned_is_refused(net: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the counters disagree on macs") as caught:
        exported(f"{net}:unused", tmp_path)
    assert "no output depends on" in str(caught.value.hint)


def test_an_operator_without_a_known_cost_tells_the_user_what_to_do(net: str) -> None:
    spec = catalog.resolve_model(f"{net}:weight_norm:32")
    with pytest.raises(UnsupportedOperators, match=r"weight_norm_interface in py:net\.py:") as caught:
        count_model(spec)
    assert "remove_parametrizations" in str(caught.value.hint)


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
