"""Reading and loading checkpoints, and refusing what is none."""

import hashlib
import math
import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import vitbench
from tests.support.models import images, seeded
from vitbench import catalog, zoo
from vitbench.catalog import Workload
from vitbench.errors import UsageError
from vitbench.export.networks import _fill
from vitbench.zoo.deploy import to_deploy
from vitbench.zoo.init import seed_weights
from vitbench.zoo.weights import load_reference_state_dict, read_checkpoint

KEY = "head.op_list.3.linear.bias"


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "weights.pt"
    torch.save(seeded("b0").state_dict(), path)
    return path


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model"])
@pytest.mark.parametrize("zipped", [False, True])
def test_a_checkpoint_restores_the_network(tmp_path: Path, wrapper: str | None, zipped: bool) -> None:
    source, path = seeded("b0"), tmp_path / "weights.pt"
    state = source.state_dict()
    content = {wrapper: state, "epoch": 3} if wrapper else state
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    target = seeded("b0", seed=1)
    load_reference_state_dict(target, read_checkpoint(path))
    assert torch.equal(target(images(64)), source(images(64)))


def test_averaged_weights_are_taken_where_a_file_has_the_last_ones_as_well(tmp_path: Path) -> None:
    averaged, last, path = (
        seeded("b0").state_dict(),
        seeded("b0", seed=1).state_dict(),
        tmp_path / "weights.pt",
    )
    torch.save({"params": last, "params_ema": averaged}, path)
    assert all(torch.equal(tensor, averaged[key]) for key, tensor in read_checkpoint(path).items())
    torch.save({"params": last}, path)
    assert all(torch.equal(tensor, last[key]) for key, tensor in read_checkpoint(path).items())


def test_arrays_of_another_width_are_cast_and_batch_counts_may_be_absent() -> None:
    source, target = seeded("b0"), seeded("b0", seed=1)
    arrays = {
        key: tensor.double().numpy()
        for key, tensor in source.state_dict().items()
        if not key.endswith("num_batches_tracked")
    }
    load_reference_state_dict(target, arrays)
    assert target.head.op_list[3].linear.bias.dtype == torch.float32
    assert torch.equal(target(images(64)), source(images(64)))


def test_a_backbone_takes_its_part_of_a_whole_networks_checkpoint() -> None:
    source, target = seeded("b0"), seeded("b0-backbone", seed=1)
    load_reference_state_dict(target, source.state_dict())
    assert torch.equal(target(images(64)), source.backbone(images(64)))


def test_every_key_that_does_not_fit_is_named_and_nothing_is_loaded() -> None:
    module = seeded("b0")
    before = {key: tensor.clone() for key, tensor in module.state_dict().items()}
    state: dict[str, Any] = dict(seeded("b0", seed=1).state_dict())
    del state[KEY]
    state["head.extra"] = torch.zeros(2)
    state["backbone.input_stem.op_list.0.norm.weight"] = torch.zeros(9)
    with pytest.raises(UsageError) as caught:
        load_reference_state_dict(module, state)
    assert caught.value.message.splitlines() == [
        "the weights do not fit the network",
        "1 missing:",
        f"  {KEY}",
        "1 unexpected:",
        "  head.extra",
        "1 of another shape:",
        "  backbone.input_stem.op_list.0.norm.weight (9, not 8)",
    ]
    assert all(torch.equal(module.state_dict()[key], tensor) for key, tensor in before.items())


def test_of_a_long_list_of_keys_the_first_are_named() -> None:
    module = seeded("b0")
    with pytest.raises(UsageError) as caught:
        load_reference_state_dict(module, {})
    expected = [key for key in module.state_dict() if not key.endswith("num_batches_tracked")]
    named = [f"  {key}" for key in expected[:10]]
    assert caught.value.message.splitlines()[1:] == ["171 missing:", *named, "  and 161 more"]


def test_keys_of_a_training_on_several_devices() -> None:
    source, target = seeded("b0"), seeded("b0", seed=1)
    state = source.state_dict()
    load_reference_state_dict(target, {f"module.{key}": value for key, value in state.items()})
    assert torch.equal(target(images(64)), source(images(64)))
    with pytest.raises(UsageError, match=r"1 unexpected:\n  module\.more$"):
        load_reference_state_dict(target, {**state, "module.more": torch.zeros(1)})


def test_keys_that_begin_with_module_may_be_the_networks_own() -> None:
    target = nn.Sequential(OrderedDict(module=nn.Linear(1, 2)))
    load_reference_state_dict(target, {"module.weight": torch.ones(2, 1), "module.bias": torch.ones(2)})
    assert bool((target.module.weight == 1).all())


def test_weights_of_1x1_convolutions_may_lack_their_last_dimensions() -> None:
    source, target = (zoo.create(catalog.resolve_model("cga-m0")) for _ in range(2))
    seed_weights(source, 0)
    state = {
        key: value[..., 0, 0] if value.shape[2:] == (1, 1) else value
        for key, value in source.state_dict().items()
    }
    assert any(state[key].dim() == 2 != value.dim() for key, value in source.state_dict().items())
    load_reference_state_dict(target, state)
    assert all(torch.equal(value, target.state_dict()[key]) for key, value in source.state_dict().items())
    state["patch_embed.0.c.weight"] = state["patch_embed.0.c.weight"].flatten(1)
    with pytest.raises(UsageError, match=r"1 of another shape:\n  patch_embed\.0\.c\.weight"):
        load_reference_state_dict(target, state)


def test_a_backbone_does_not_take_the_weights_of_another_epsilon() -> None:
    encoder = zoo.create(catalog.resolve_model("effvit-sam-l0"))
    seed_weights(encoder, 0)
    state = {f"image_encoder.{key}": value for key, value in encoder.state_dict().items()}
    load_reference_state_dict(encoder, state)
    with pytest.raises(UsageError, match=r"is of EfficientViT-SAM, .* epsilon \(1e-6\)") as caught:
        load_reference_state_dict(seeded("l0-backbone"), state)
    assert "effvit-sam-l0" in str(caught.value.hint)
    epsilons = {part.eps for part in seeded("l0-backbone").modules() if isinstance(part, nn.BatchNorm2d)}
    assert 1e-6 not in epsilons


def test_the_train_form_does_not_take_merged_branches(tmp_path: Path) -> None:
    merged = vitbench.build("fastvit-t8@reparam")
    torch.save(merged.state_dict(), tmp_path / "merged.pt")
    weights = tmp_path / "merged.pt"
    wrong: list[dict[str, Any]] = [{"name": "fastvit-t8@train"}, {"name": "fastvit-t8", "deploy": False}]
    for options in wrong:
        with pytest.raises(UsageError, match="is of merged branches") as caught:
            vitbench.build(**options, weights=weights)
        assert "drop @train" in str(caught.value.hint)
    vitbench.build("fastvit-t8", weights=weights)
    same = vitbench.build("fastvit-t8@reparam", weights=weights)
    assert torch.equal(same(images(32)), merged(images(32)))
    network = zoo.create(catalog.resolve_model("fastvit-t8@train"))
    workload = Workload(model=catalog.resolve_model("fastvit-t8@train"), weights=_hash(weights))
    with pytest.raises(UsageError, match="is of merged branches"):
        _fill(network, workload, weights)


def _hash(path: Path) -> str:
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch announces that some of these may change
@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda tensor: tensor.to_sparse(), r"sparse \(sparse_coo\)"),
        (lambda tensor: tensor.to("meta"), "a meta tensor, which has no values"),
        (lambda tensor: tensor.to(torch.complex64), "of type complex64"),
        (lambda tensor: tensor.numpy().astype(np.complex128), "of type complex128"),
        (lambda tensor: torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8), "of type qint8"),
        (lambda tensor: torch.nested.nested_tensor([tensor]), "a nested tensor"),
    ],
    ids=["sparse", "meta", "complex", "complex array", "quantised", "nested"],
)
def test_an_entry_that_is_no_dense_real_tensor_is_named(
    change: Callable[[torch.Tensor], Any], problem: str, tmp_path: Path
) -> None:
    state: dict[str, Any] = dict(seeded("b0").state_dict())
    state[KEY] = change(state[KEY])
    with pytest.raises(UsageError, match=f"entry {KEY} is {problem}"):
        load_reference_state_dict(seeded("b0"), state)
    if torch.is_tensor(state[KEY]):
        torch.save(state, tmp_path / "weights.pt")
        with pytest.raises(UsageError, match=f"entry {KEY} is {problem}"):
            load_reference_state_dict(seeded("b0"), read_checkpoint(tmp_path / "weights.pt"))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e300])
def test_the_first_entry_that_is_not_finite_is_named_and_nothing_is_loaded(value: float) -> None:
    module = seeded("b0")
    before = {key: tensor.clone() for key, tensor in module.state_dict().items()}
    state = {key: tensor.double() for key, tensor in seeded("b0", seed=1).state_dict().items()}
    first = "backbone.input_stem.op_list.0.norm.running_var"
    state[first][3] = value
    state[KEY][5] = math.nan
    with pytest.raises(UsageError, match=f"entry {first} has values that are not finite in float32"):
        load_reference_state_dict(module, state)
    assert all(torch.equal(module.state_dict()[key], tensor) for key, tensor in before.items())


def test_inference_form_does_not_take_the_official_keys() -> None:
    module = seeded("b0")
    with pytest.raises(UsageError, match=r"unexpected:\n(  .*\n)*  .*norm\.weight\n") as caught:
        load_reference_state_dict(to_deploy(module), module.state_dict())
    assert "train form" in str(caught.value.hint)


def test_an_entry_that_is_no_array_is_named() -> None:
    state: dict[str, Any] = dict(seeded("b0").state_dict()) | {KEY: "zero"}
    with pytest.raises(UsageError, match=KEY):
        load_reference_state_dict(seeded("b0"), state)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.9, 0.999])
def test_a_truncated_file(saved: Path, share: float) -> None:
    content = saved.read_bytes()
    saved.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(UsageError, match=r"weights\.pt is (empty|truncated)") as caught:
        read_checkpoint(saved)
    assert "again" in str(caught.value.hint)


def test_a_pickle_that_runs_code_is_refused_without_running_it(tmp_path: Path) -> None:
    path, witness = tmp_path / "evil.pt", tmp_path / "ran"

    class Evil:
        def __reduce__(self) -> Any:
            return Path.touch, (witness,)

    torch.save({"state_dict": Evil()}, path)
    with pytest.raises(UsageError, match="not a PyTorch checkpoint of tensors"):
        read_checkpoint(path)
    assert not witness.exists()


@pytest.mark.parametrize(
    "content", [[1, 2], {}, {"state_dict": {}}, {"a": 1.0}, {1: torch.zeros(1)}, torch.zeros(3)], ids=str
)
def test_a_file_of_torch_that_holds_no_state_dict(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "other.pt"
    torch.save(content, path)
    with pytest.raises(UsageError, match="holds no state dict"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps({"a": np.zeros(3)}),
        pickle.dumps([1, 2]),
        b"PK\x03\x04 no archive",
        b"plain text\n",
        b"\x80",
    ],
    ids=["arrays", "list", "zip", "text", "byte"],
)
def test_files_of_other_programs(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.bin"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"not a PyTorch checkpoint"):
        read_checkpoint(path)


def test_paths_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read weights file .*absent\.pt: No such file"):
        read_checkpoint(tmp_path / "absent.pt")
    with pytest.raises(UsageError, match=r"cannot read weights file .*: Is a directory"):
        read_checkpoint(tmp_path)
