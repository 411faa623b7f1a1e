"""Networks from elsewhere by name."""

import hashlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.catalog.test_lookup import hint_of
from vitbench import catalog
from vitbench.errors import UsageError
from vitbench.request import parse_request

STAND_IN = Path(__file__).parents[1] / "support" / "stand_in"
NET = """
import sys
from torch import nn
print("printed by the file")
class Net(nn.Module):
    input_shape = (3, 48, 32)
    def forward(self, x):
        return x
def build():
    return Net()
def of_any_size():
    return nn.Identity()
def grey():
    net = Net()
    net.input_shape = (1, 48, 32)
    return net
def tokens():
    net = Net()
    net.input_shape = (16, 8)
    return net
def wrong_shape():
    net = Net()
    net.input_shape = (3, "x", 1)
    return net
def fails():
    raise ValueError("no such thing\\nreally")
def leaves():
    sys.exit(3)
"""


@pytest.fixture
def net(tmp_path: Path) -> str:
    path = tmp_path / "My Net.py"
    path.write_text(NET)
    return f"py:{path}"


def graph_file(path: Path, *shapes: tuple[int | str, ...], dtype: int = TensorProto.FLOAT) -> Path:
    """An ONNX file of one node over inputs of these shapes, with a weight listed among the inputs."""
    inputs = [helper.make_tensor_value_info(f"in{at}", dtype, shape) for at, shape in enumerate(shapes)]
    weight = numpy_helper.from_array(np.ones(1, np.float32), "weight")
    listed = helper.make_tensor_value_info("weight", TensorProto.FLOAT, (1,))
    graph = helper.make_graph(
        [helper.make_node("Identity", ["in0"], ["out"])],
        "graph",
        [*inputs, listed],
        [helper.make_tensor_value_info("out", dtype, shapes[0])],
        [weight],
    )
    onnx.save(helper.make_model(graph), path)
    return path


def test_onnx(tmp_path: Path) -> None:
    path = graph_file(tmp_path / "Net.onnx", (2, 3, 48, 32), (2, 4))
    spec = catalog.resolve_model(f"onnx:{path}")
    assert (spec.family, spec.variant, spec.name, spec.task) == ("onnx", "Net", "onnx:Net", "custom")
    assert spec.resolution == (48, 32)
    assert [(each.name, each.shape, each.dtype) for each in spec.inputs] == [
        ("in0", (3, 48, 32), "float32"),
        ("in1", (4,), "float32"),
    ]
    assert spec.hyper["path"] == str(path)
    assert spec.hyper["batch"] == 2
    assert catalog.resolve_model(f"onnx:{path}", resolution=(48, 32)) == spec
    with pytest.raises(UsageError, match="is a graph for 48x32, not for 64x64"):
        catalog.resolve_model(f"onnx:{path}", resolution=(64, 64))


def test_onnx_without_an_image(tmp_path: Path) -> None:
    path = graph_file(tmp_path / "ids.onnx", (1, 16), dtype=TensorProto.INT64)
    spec = catalog.resolve_model(f"onnx:{path}")
    assert spec.resolution == (1, 1)
    assert [(each.shape, each.dtype, each.values) for each in spec.inputs] == [((16,), "int64", "zeros")]


@pytest.mark.parametrize(
    ("kind", "dtype", "values"),
    [
        (TensorProto.UINT8, "uint8", "integers"),
        (TensorProto.INT8, "int8", "integers"),
        (TensorProto.INT32, "int32", "zeros"),
        (TensorProto.BOOL, "bool", "zeros"),
        (TensorProto.DOUBLE, "float64", "normal"),
        (TensorProto.FLOAT16, "float16", "normal"),
    ],
)
def test_types_of_onnx_inputs(tmp_path: Path, kind: int, dtype: str, values: str) -> None:
    spec = catalog.resolve_model(f"onnx:{graph_file(tmp_path / 'net.onnx', (1, 3, 8, 8), dtype=kind)}")
    assert [(each.dtype, each.values) for each in spec.inputs] == [(dtype, values)]


@pytest.mark.parametrize(
    ("kind", "told"), [(TensorProto.STRING, "string"), (TensorProto.BFLOAT16, "bfloat16"), (0, "undefined")]
)
@pytest.mark.parametrize("what", ["input", "output"])
def test_types_that_nobody_can_make_up_are_refused(tmp_path: Path, kind: int, told: str, what: str) -> None:
    path = graph_file(tmp_path / "net.onnx", (1, 3))
    model = onnx.load(path)
    getattr(model.graph, what)[0].type.tensor_type.elem_type = kind
    onnx.save(model, path)
    if (what, kind) == ("output", 0):  # a graph need not say what it gives
        assert catalog.resolve_model(f"onnx:{path}").name == "onnx:net"
        return
    with pytest.raises(UsageError, match=rf"{what} '.*' of .*net\.onnx is of type {told}") as caught:
        catalog.resolve_model(f"onnx:{path}")
    assert "float32" in hint_of(caught)


@pytest.mark.parametrize(
    ("kinds", "precision"),
    [
        ([TensorProto.FLOAT16, TensorProto.FLOAT16], "fp16"),
        ([TensorProto.FLOAT16, TensorProto.FLOAT], "fp16"),
        ([TensorProto.FLOAT, TensorProto.FLOAT16], "fp32"),
        ([TensorProto.INT64, TensorProto.FLOAT16], "fp16"),
        ([], "fp32"),
    ],
)
@pytest.mark.parametrize("inside", [False, True], ids=["initializers", "constants"])
def test_the_precision_of_a_graph_is_that_of_most_of_its_weights(
    tmp_path: Path, kinds: list[int], precision: str, inside: bool
) -> None:
    path = graph_file(tmp_path / "net.onnx", (1, 3, 8, 8))
    model = onnx.load(path)
    for number, kind in enumerate(kinds):
        size = 100 if number == 0 else 10
        tensor = helper.make_tensor(f"more{number}", kind, (size,), np.zeros(size))
        if inside:
            model.graph.node.append(helper.make_node("Constant", [], [tensor.name], value=tensor))
        else:
            model.graph.initializer.append(tensor)
    onnx.save(model, path)
    assert catalog.resolve_model(f"onnx:{path}").hyper["precision"] == precision
    (cell,) = parse_request(models=[f"onnx:{path}"], targets=["cpu"]).cells
    assert cell.workload.precision == precision
    parse_request(models=[f"onnx:{path}"], targets=["cpu"], precision=precision)
    other = {"fp16": "fp32", "fp32": "fp16"}[precision]
    with pytest.raises(UsageError, match=f"is a graph in {precision}, not {other}") as caught:
        parse_request(models=[f"onnx:{path}"], targets=["cpu"], precision=other)
    assert hint_of(caught) == "drop --precision"


def test_a_graph_without_weights_has_the_precision_of_its_inputs(tmp_path: Path) -> None:
    path = graph_file(tmp_path / "net.onnx", (1, 3, 8, 8), dtype=TensorProto.FLOAT16)
    model = onnx.load(path)
    del model.graph.initializer[:]
    del model.graph.input[-1]
    onnx.save(model, path)
    assert catalog.resolve_model(f"onnx:{path}").hyper["precision"] == "fp16"


@pytest.mark.parametrize("suffix", ["@train", ":32x32", "+softmax"])
def test_suffixes_of_a_graph_are_refused(tmp_path: Path, suffix: str) -> None:
    path = graph_file(tmp_path / "net.onnx", (1, 3, 8, 8))
    with pytest.raises(UsageError, match=rf"'{re.escape(suffix)}' means nothing for a file") as caught:
        catalog.resolve_model(f"onnx:{path}{suffix}")
    assert hint_of(caught) == f"write onnx:{path}"
    odd = graph_file(tmp_path / f"net.onnx{suffix}", (1, 3, 8, 8))
    assert catalog.resolve_model(f"onnx:{odd}").hyper["path"] == str(odd)


def test_a_source_without_a_file_says_what_to_write() -> None:
    with pytest.raises(UsageError, match="'onnx:' names no file") as caught:
        catalog.resolve_model("onnx:")
    assert "onnx:FILE.onnx" in hint_of(caught)


@pytest.mark.parametrize("place", ["constant", "subgraph"])
def test_values_inside_of_a_graph_that_lie_in_another_file_are_refused(tmp_path: Path, place: str) -> None:
    path = graph_file(tmp_path / "net.onnx", (1, 3, 8, 8))
    model = onnx.load(path)
    far = TensorProto(name="far", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    far.external_data.add(key="location", value="net.bin")
    if place == "constant":
        model.graph.node.append(helper.make_node("Constant", [], ["far"], value=far))
    else:
        branch = helper.make_graph([], "branch", [], [], [far])
        model.graph.node.append(helper.make_node("If", ["in0"], ["x"], then_branch=branch))
    path.write_bytes(model.SerializeToString())
    with pytest.raises(UsageError, match=r"net\.onnx keeps values of a constant .*'far'") as caught:
        catalog.resolve_model(f"onnx:{path}")
    assert "one file" in hint_of(caught)


def weights_of(name: str, **options: Any) -> str:
    (cell,) = parse_request(models=[name], targets=["cpu"], **options).cells
    return cell.workload.weights


def test_weights_are_named_by_their_content(tmp_path: Path) -> None:
    """Files of one name are apart in a report, and one that was edited does not hide what it was."""
    (tmp_path / "b").mkdir()
    first = graph_file(tmp_path / "net.onnx", (1, 3, 8, 8))
    second = graph_file(tmp_path / "b" / "net.onnx", (1, 3, 8, 8))
    assert weights_of(f"onnx:{first}") == f"own:{hashlib.sha256(first.read_bytes()).hexdigest()[:12]}"
    assert weights_of(f"onnx:{first}") == weights_of(f"onnx:{second}")
    model = onnx.load(second)
    model.producer_name = "somebody else"
    onnx.save(model, second)
    assert weights_of(f"onnx:{first}") != weights_of(f"onnx:{second}")
    onnx.save(model, first, save_as_external_data=True, location="net.bin", size_threshold=0)
    before = weights_of(f"onnx:{first}")
    (tmp_path / "net.bin").write_bytes(b"\0\0\0\0")
    assert weights_of(f"onnx:{first}") != before


READS = """
from pathlib import Path
import torch
from torch import nn
class Net(nn.Conv2d):
    def __init__(self):
        super().__init__(3, 4, 1)
        self.register_buffer("table", torch.zeros(2, dtype=torch.bfloat16), persistent=False)
def build():
    net = Net()
    exec(Path(__file__).with_name("weights").read_text())
    return net
"""


@pytest.mark.parametrize(
    "change", ["net.weight.data[0] += 1", "net.table += 1", "net.double()", "net.more = nn.Linear(1, 1)"]
)
def test_weights_that_a_function_reads_from_elsewhere_are_part_of_it(tmp_path: Path, change: str) -> None:
    (tmp_path / "net.py").write_text(READS)
    (tmp_path / "weights").write_text("pass")
    name = f"py:{tmp_path / 'net.py'}:build"
    first, weights = catalog.resolve_model(name), weights_of(name)
    assert catalog.resolve_model(name) == first
    assert re.fullmatch("own:[0-9a-f]{12}", weights)
    (tmp_path / "weights").write_text(change)
    assert catalog.resolve_model(name).hyper["state"] != first.hyper["state"]
    assert weights_of(name) != weights


def test_another_file_is_another_network(tmp_path: Path, net: str) -> None:
    path = graph_file(tmp_path / "net.onnx", (1, 3, 8, 8))
    first = catalog.resolve_model(f"onnx:{path}")
    graph_file(path, (1, 3, 8, 16))
    assert catalog.resolve_model(f"onnx:{path}").hyper["sha256"] != first.hyper["sha256"]
    first = catalog.resolve_model(f"{net}:build")
    Path(net[3:]).write_text(NET.replace("return x", "return x + 1"))
    assert catalog.resolve_model(f"{net}:build").hyper["sha256"] != first.hyper["sha256"]


def test_weights_beside_a_graph_are_part_of_it(tmp_path: Path) -> None:
    path = graph_file(tmp_path / "net.onnx", (1, 3, 8, 8))
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="net.bin", size_threshold=0)
    first = catalog.resolve_model(f"onnx:{path}")
    (tmp_path / "net.bin").write_bytes(b"\0\0\0\0")
    second = catalog.resolve_model(f"onnx:{path}")
    assert first.hyper["external"].keys() == second.hyper["external"].keys() == {"net.bin"}
    assert first.hyper["external"] != second.hyper["external"]
    model = onnx.load(path, load_external_data=False)
    next(
        entry for entry in model.graph.initializer[0].external_data if entry.key == "location"
    ).value = "../x"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(UsageError, match="outside of its folder"):
        catalog.resolve_model(f"onnx:{path}")


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([("batch", 3, 8, 8)], r"input 'in0' of .* has the shape \['batch', 3, 8, 8\], which is not fixed"),
        ([(1, 3, 8, 8), (2, 3)], "do not share a batch"),
        ([(0, 3)], "which is not fixed"),
        ([()], "do not share a batch"),
    ],
)
def test_onnx_inputs_that_are_refused(
    tmp_path: Path, shapes: list[tuple[int | str, ...]], message: str
) -> None:
    path = graph_file(tmp_path / "net.onnx", *shapes)
    with pytest.raises(UsageError, match=message):
        catalog.resolve_model(f"onnx:{path}")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe no protobuf", b"import torch\n"])
def test_what_is_no_onnx_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="is not an ONNX file"):
        catalog.resolve_model(f"onnx:{path}")
    with pytest.raises(UsageError, match=r"cannot read .*absent\.onnx"):
        catalog.resolve_model(f"onnx:{tmp_path / 'absent.onnx'}")


def test_python_function(net: str, capsys: pytest.CaptureFixture[str]) -> None:
    spec = catalog.resolve_model(f"{net}:build")
    assert (spec.family, spec.variant, spec.name) == ("py", "build", "py:My Net.py:build")
    assert (spec.resolution, spec.inputs, spec.own_weights) == ((48, 32), (), True)
    assert catalog.resolve_model(f"{net}:build:64").resolution == (64, 64)
    assert catalog.resolve_model(f"{net}:of_any_size").resolution == (224, 224)
    grey = catalog.resolve_model(f"{net}:grey:64")
    assert [each.shape for each in grey.inputs] == [(1, 64, 64)]
    tokens = catalog.resolve_model(f"{net}:tokens")
    assert (tokens.resolution, [each.shape for each in tokens.inputs]) == ((1, 1), [(16, 8)])
    seen = capsys.readouterr()
    assert (seen.out, seen.err) == ("", "printed by the file\n")


@pytest.mark.parametrize(
    ("rest", "message", "hint"),
    [
        (":fails", "line 26: ValueError: no such thing", "correct the file"),
        (":leaves", "line 28: SystemExit: 3", "correct the file"),
        (":buidl", "unknown function of .* 'buidl'", "did you mean `build`"),
        (":wrong_shape", "`input_shape` of what", "positive integers"),
        (":tokens:224", "takes no image", "drop the resolution"),
        ("", "names no function", "py:FILE.py:function"),
        (":build:0", "not positive", "HEIGHTxWIDTH"),
    ],
)
def test_python_functions_that_are_refused(net: str, rest: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        catalog.resolve_model(net + rest)
    assert hint in hint_of(caught)


def test_a_file_with_a_mistake_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "bad.py"
    path.write_text("x = 1\ndef f(:\n")
    with pytest.raises(UsageError, match="SyntaxError"):
        catalog.resolve_model(f"py:{path}:f")
    path.write_text("x = 1\nimport no_such_package_anywhere\n")
    with pytest.raises(UsageError, match="line 2: ModuleNotFoundError: No module named 'no_such"):
        catalog.resolve_model(f"py:{path}:f")


def test_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(STAND_IN))
    spec = catalog.resolve_model("timm:fixed_tiny.some_weights")
    assert (spec.name, spec.task, spec.resolution) == ("timm:fixed_tiny.some_weights", "cls", (48, 32))
    assert spec.hyper["timm"] == "0.0-stand-in"
    assert catalog.resolve_model("timm:plain_tiny").resolution == (224, 224)
    assert catalog.resolve_model("timm:fixed_tiny:64").resolution == (64, 64)
    with pytest.raises(UsageError, match="contradicts the name"):
        catalog.resolve_model("timm:fixed_tiny:64", resolution=(32, 32))
    with pytest.raises(UsageError, match="unknown network of timm 'fixd_tiny'") as caught:
        catalog.resolve_model("timm:fixd_tiny")
    assert "did you mean `fixed_tiny`" in hint_of(caught)


def test_timm_that_is_absent_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "timm", None)
    with pytest.raises(UsageError, match="timm is not installed") as caught:
        catalog.resolve_model("timm:resnet50")
    assert hint_of(caught) == "pip install 'vitbench[timm]'"


@pytest.mark.parametrize("option", ["attention", "upsample", "part"])
def test_options_of_the_catalog_mean_nothing_elsewhere(option: str, net: str) -> None:
    with pytest.raises(UsageError, match=f"--{option} x means nothing for"):
        catalog.resolve_model(f"{net}:build", **{option: "x"})  # type: ignore[arg-type]


def test_weights_and_batch_of_what_brings_them(tmp_path: Path, net: str) -> None:
    path = graph_file(tmp_path / "net.onnx", (2, 3, 48, 32))
    (cell,) = parse_request(models=[f"onnx:{path}"], targets=["cpu"], batches=["2"]).cells
    assert cell.workload.weights.startswith("own:")
    assert cell.workload.inputs[0].shape == (2, 3, 48, 32)
    with pytest.raises(UsageError, match="is a graph for batch 2, not 1"):
        parse_request(models=[f"onnx:{path}"], targets=["cpu"])
    with pytest.raises(UsageError, match="brings its own weights"):
        parse_request(models=[f"{net}:build"], targets=["cpu"], weights=path)
