"""The counter of modules, against arithmetic done by hand."""

import pytest
import torch
from torch import Tensor, nn

from vitbench.counting import UnsupportedOperators, count_module


class Net(nn.Module):
    """A module whose forward is the function given."""

    def __init__(self, forward, **parts: nn.Module | nn.Parameter) -> None:
        super().__init__()
        self.function = forward
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


def test_traffic_and_macs_of_a_small_network() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(256, 10))
    counts = count_module(net, (2, 3, 8, 8))
    conv, relu, linear = counts.layers  # flattening is no work
    image, maps = 2 * 3 * 64 * 4, 2 * 4 * 64 * 4
    assert (conv.name, conv.operator) == ("0", "aten.convolution")
    assert (conv.macs, conv.macs_attention) == (2 * 4 * 64 * 27, 0)
    assert (conv.bytes_read, conv.bytes_written) == (image + (4 * 27 + 4) * 4, maps)
    assert (relu.macs, relu.bytes_read, relu.bytes_written) == (0, maps, maps)
    assert (linear.macs, linear.bytes_read) == (2 * 2560, maps + (2560 + 10) * 4)
    assert linear.bytes_written == 2 * 10 * 4
    assert counts.params == 112 + 2570
    assert counts.macs == conv.macs + linear.macs
    assert counts.bytes_read == conv.bytes_read + relu.bytes_read + linear.bytes_read
    assert counts.bytes_written == 2 * maps + 80
    # image and convolution's output, then that and the activation's
    assert counts.peak_activation_bytes == 2 * maps + image


@pytest.mark.parametrize(
    ("part", "shape", "macs"),
    [
        (nn.Conv2d(8, 12, 3, stride=2, padding=1, groups=4), (1, 8, 10, 10), 12 * 25 * 2 * 9),
        (nn.Conv2d(8, 8, 5, groups=8, dilation=2), (3, 8, 12, 12), 3 * 8 * 16 * 25),
        (nn.ConvTranspose2d(6, 4, 2, stride=2, groups=2), (1, 6, 5, 5), 6 * 25 * 2 * 4),
        (nn.Conv1d(4, 5, 3), (1, 4, 9), 5 * 7 * 12),
        (nn.Linear(7, 3), (2, 5, 7), 2 * 5 * 21),
        (nn.Linear(7, 3, bias=False), (7,), 21),
    ],
)
def test_macs_of_layers(part: nn.Module, shape: tuple[int, ...], macs: int) -> None:
    counts = count_module(part, shape)
    assert (counts.macs, counts.macs_attention) == (macs, 0)


def test_a_product_is_attention_when_neither_operand_is_a_parameter_or_a_view_of_one() -> None:
    table = nn.Parameter(torch.zeros(6, 4))
    by_parameter = Net(lambda net, x: x @ net.table.t()[:, :3], table=table)
    assert count_module(by_parameter, (5, 4)).macs == 5 * 4 * 3
    assert count_module(by_parameter, (5, 4)).macs_attention == 0
    by_itself = Net(lambda _, x: x @ x.transpose(-1, -2))
    counts = count_module(by_itself, (2, 5, 4))
    assert (counts.macs, counts.macs_attention) == (2 * 25 * 4, 2 * 25 * 4)
    buffered = Net(lambda net, x: torch.einsum("bij,kj->bik", x, net.table))
    buffered.register_buffer("table", torch.zeros(6, 4))
    counts = count_module(buffered, (2, 5, 4))
    assert (counts.macs, counts.macs_attention) == (2 * 5 * 6 * 4, 0)


def test_fused_attention_counts_both_products() -> None:
    def attend(_: nn.Module, x: Tensor) -> Tensor:
        return nn.functional.scaled_dot_product_attention(x, x[:, :, :7], x[:, :, :7])

    counts = count_module(Net(attend), (2, 3, 10, 8))
    assert counts.macs == counts.macs_attention == 2 * (2 * 3 * 10 * 7 * 8)


def test_unknown_operators_are_all_named() -> None:
    net = Net(lambda _, x: torch.special.bessel_j0(x).sort(dim=1).values)
    with pytest.raises(UnsupportedOperators) as caught:
        count_module(net, (2, 3))
    assert caught.value.operators == ("aten.sort", "aten.special_bessel_j0")
    assert "cannot count aten.sort, aten.special_bessel_j0 in Net" in caught.value.message


def test_memory_that_is_released_is_not_in_the_peak() -> None:
    def chain(_: nn.Module, x: Tensor) -> Tensor:
        for _ in range(10):
            x = x + 1
        return x

    assert count_module(Net(chain), (100,)).peak_activation_bytes == 3 * 400  # the caller holds the input
    kept = Net(lambda _, x: sum([x + i for i in range(10)], x))
    assert count_module(kept, (100,)).peak_activation_bytes >= 11 * 400


def test_an_expanded_tensor_is_read_once() -> None:
    table = nn.Parameter(torch.zeros(4))
    (add,) = count_module(Net(lambda n, x: x + n.table.expand(5, 4), table=table), (5, 4)).layers
    assert add.bytes_read == 5 * 4 * 4 + 4 * 4


def test_the_module_and_its_weights_are_left_alone() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)).eval()
    before = {key: tensor.clone() for key, tensor in net.state_dict().items()}
    counts = count_module(net, (1, 3, 4, 4))
    assert [layer.name for layer in counts.layers if layer.bytes_read] == ["0", "1"]
    assert all(torch.equal(net.state_dict()[key], tensor) for key, tensor in before.items())
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in net.modules())
    assert net(torch.zeros(1, 3, 4, 4)).device.type == "cpu"
