"""The order of copies, computation and marks on a device that only notes what it is told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from vitbench.agent.backends.torch_lane import Lane
from vitbench.agent.backends.torch_place import CudaPlace, Marks, Place, choose, explain
from vitbench.agent.errors import AgentError

TENSOR = {"name": "x", "dtype": "float32", "shape": [2]}


class Event:
    def __init__(self, told: list[str], number: int, times: list[float]) -> None:
        self.told, self.number, self.times = told, number, times

    def record(self, stream: str) -> None:
        self.told.append(f"mark {self.number} on {stream}")

    def synchronize(self) -> None:
        self.told.append(f"wait {self.number}")

    def elapsed_time(self, other: Event) -> float:
        return self.times[other.number] - self.times[self.number]


class Noting(Place):
    """This machine's processor with marks, streams and capture that are noted."""

    def __init__(self) -> None:
        super().__init__(torch, "cpu")
        self.told: list[str] = []

    def stream(self) -> str:
        return f"stream {len([word for word in self.told if word == 'stream'])}"

    def use(self, stream: Any) -> None:
        self.told.append(f"use {stream}")

    def marks(self) -> Marks:
        marks = Marks.__new__(Marks)
        marks._events = [Event(self.told, number, [1.0, 1.25, 4.0, 4.5]) for number in range(4)]
        return marks

    def capture(self, run: Any, stream: Any) -> Any:
        self.told.append(f"capture on {stream}")
        (filled,) = run()

        def replay() -> None:
            self.told.append("replay")
            filled.copy_(torch.tensor([7.0, 8.0]))

        return replay, (filled,)


def lane(place: Noting, **options: bool) -> Lane:
    def network(x: torch.Tensor) -> tuple[torch.Tensor]:
        place.told.append("network")
        return (x * 2,)

    asked = {"channels_last": False, "captured": False, **options}
    return Lane(place, network, [TENSOR], [{**TENSOR, "name": "y"}], **asked)


def test_marks_stand_round_the_copies_and_the_computation() -> None:
    place = Noting()
    made = lane(place)
    made.fill([np.array([1, 2], np.float32)])
    for stage in made.stages():
        stage()
    assert place.told == [
        *("use stream 0", "mark 0 on stream 0", "mark 1 on stream 0", "network"),
        *("mark 2 on stream 0", "mark 3 on stream 0", "wait 3"),
    ]
    assert made.outputs()["y"].tolist() == [2, 4]
    assert made.parts is not None
    assert made.parts() == (250_000, 2_750_000, 500_000)


def test_a_request_that_is_submitted_is_not_waited_for() -> None:
    place = Noting()
    made = lane(place)
    made.submit()
    assert "wait 3" not in place.told
    made.wait()
    assert place.told[-1] == "wait 3"


def test_a_captured_network_runs_before_the_capture_and_is_played_back_after_it() -> None:
    place = Noting()
    made = lane(place, captured=True)
    assert place.told == ["network"] * 3 + ["capture on stream 0", "network"]
    del place.told[:]
    made.submit()
    assert place.told[2] == "replay"
    assert "network" not in place.told
    assert made.outputs()["y"].tolist() == [7, 8]


def failing(message: str) -> Any:
    def network(x: torch.Tensor) -> Any:
        raise RuntimeError(message)

    return network


@pytest.mark.parametrize(
    "message",
    [
        "CUDA out of memory. Tried to allocate 2.00 GiB",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory",
    ],
)
def test_too_little_memory_is_told_as_such(message: str) -> None:
    made = Lane(Noting(), failing(message), [TENSOR], [], channels_last=False, captured=False)
    for act in (made.submit, made.stages()[1]):
        with pytest.raises(AgentError, match="has not enough memory for this network and batch") as caught:
            act()
        assert caught.value.kind == "memory"


def test_any_other_failure_is_quoted() -> None:
    made = Lane(Noting(), failing("no kernel\nmore"), [TENSOR], [], channels_last=False, captured=False)
    with pytest.raises(AgentError, match=r"torch .* failed: no kernel$") as caught:
        made.submit()
    assert caught.value.kind == "runtime"


def test_what_cannot_be_captured_is_told() -> None:
    class Refusing(Noting):
        def capture(self, run: Any, stream: Any) -> Any:
            raise RuntimeError("operation not permitted when stream is capturing")

    with pytest.raises(AgentError, match=r"cannot be captured as a CUDA graph: .* not permitted"):
        lane(Refusing(), captured=True)


def test_the_processor_has_no_cuda_graph() -> None:
    place = Place(torch, "cpu")
    with pytest.raises(AgentError, match="a CUDA graph needs a CUDA device") as caught:
        Lane(place, lambda x: (x,), [TENSOR], [TENSOR], channels_last=False, captured=True)
    assert caught.value.kind == "usage"


def test_maps_are_kept_channels_last_on_the_device_alone() -> None:
    seen: list[torch.Tensor] = []

    def network(x: torch.Tensor) -> tuple[torch.Tensor]:
        seen.append(x)
        return (x,)

    described = {"name": "x", "dtype": "float32", "shape": [1, 3, 4, 4]}
    made = Lane(Place(torch, "cpu"), network, [described], [described], channels_last=True, captured=False)
    values = np.arange(48, dtype=np.float32).reshape(1, 3, 4, 4)
    made.fill([values])
    made.submit()
    assert seen[0].is_contiguous(memory_format=torch.channels_last)
    assert np.array_equal(made.outputs()["x"], values)


class Cuda:
    """What `torch` and `torch.cuda` would say of a machine."""

    __version__ = "2.9.0"

    def __init__(self, version: str | None, devices: int) -> None:
        self.version = type("Version", (), {"cuda": version})
        self.cuda = type(
            "Cuda",
            (),
            {
                "is_available": staticmethod(lambda: devices > 0),
                "device_count": staticmethod(lambda: devices),
            },
        )


@pytest.mark.parametrize(
    ("version", "devices", "device", "why"),
    [
        (None, 0, "cuda:0", r"this torch \(2\.9\.0\) has no CUDA: install"),
        ("13.0", 0, "cuda:0", "finds no CUDA device: see whether `nvidia-smi` does"),
        ("13.0", 2, "cuda:2", "there is no cuda:2: the last CUDA device of this machine is cuda:1"),
        ("13.0", 2, "cuda", "device must be cpu or cuda:N, not 'cuda'"),
        ("13.0", 2, 0, "device must be cpu or cuda:N, not 0"),
    ],
)
def test_a_device_that_is_not_there_is_refused(
    version: str | None, devices: int, device: object, why: str
) -> None:
    with pytest.raises(AgentError, match=why) as caught:
        choose(Cuda(version, devices), device)
    assert caught.value.kind == "usage"


def test_how_much_memory_is_free_is_told_where_the_device_tells() -> None:
    place = CudaPlace.__new__(CudaPlace)
    place.is_cuda, place.device = True, "cuda:0"
    memory = {"mem_get_info": staticmethod(lambda device: (3 * 2**20, 2**40))}
    name = {"get_device_name": staticmethod(lambda device: "a GPU")}
    place.torch = type("Torch", (), {"cuda": type("Cuda", (), memory | name)})
    told = explain(torch, RuntimeError("CUDA error: out of memory"), place)
    assert told.message == "a GPU has not enough memory for this network and batch (3 MiB are free now)"
    place.torch.cuda.mem_get_info = staticmethod(_gone)
    told = explain(torch, RuntimeError("CUDA error: out of memory"), place)
    assert told.message == "a GPU has not enough memory for this network and batch"
    told = explain(torch, RuntimeError("CUDA error: out of memory"), None)
    assert told.message == "the GPU has not enough memory for this network and batch"


def _gone(device: str) -> None:
    raise RuntimeError("CUDA error: an illegal memory access was encountered")
