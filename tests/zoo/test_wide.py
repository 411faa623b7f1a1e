"""Islands of float32 in half precision; in float32 they are nothing."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from vitbench.zoo.wide import GroupNorm, LayerNorm, mean_of_map, narrow, wide


def test_a_float32_tensor_passes_as_it_is() -> None:
    x = torch.ones(2)
    assert wide(x) is x
    assert narrow(x, torch.zeros(1)) is x


def test_a_half_tensor_is_widened_and_narrowed_again() -> None:
    x = torch.ones(2).half()
    assert wide(x).dtype == torch.float32
    assert narrow(wide(x), x).dtype == torch.float16


def test_the_mean_of_a_map_is_half_though_its_sum_is_not() -> None:
    x = torch.full((1, 2, 32, 32), 100.0)
    assert mean_of_map(x.half()).tolist() == [[100, 100]]
    assert mean_of_map(x, keepdim=True).shape == (1, 2, 1, 1)
    torch.testing.assert_close(mean_of_map(x), x.mean(dim=(2, 3)), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("ours", "plain"),
    [(lambda: LayerNorm(8), lambda: nn.LayerNorm(8)), (lambda: GroupNorm(2, 4), lambda: nn.GroupNorm(2, 4))],
    ids=["layer", "group"],
)
def test_norms_equal_pytorchs_in_float32_to_the_bit_and_divide_in_it_in_half(
    ours: Callable[[], nn.Module], plain: Callable[[], nn.Module]
) -> None:
    x: Tensor = 300 * torch.randn(2, 4, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(ours()(x), plain()(x), rtol=0, atol=0)
    found = ours().half()(x.half())
    assert found.dtype == torch.float16
    torch.testing.assert_close(found.float(), plain()(x), rtol=0, atol=5e-3)
