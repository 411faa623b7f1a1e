"""The CUDA driver by ctypes, on a simulated GPU that does its work only when somebody waits for it."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest

from vitbench.agent import cuda
from vitbench.agent.cuda import driver as driver_module
from vitbench.agent.cuda import facts, graph
from vitbench.agent.cuda.prototypes import PROTOTYPES
from vitbench.agent.errors import AgentError


def test_without_a_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def absent(name: str) -> Any:
        tried.append(name)
        raise OSError(name)

    monkeypatch.setattr(driver_module.ctypes, "CDLL", absent)
    with pytest.raises(cuda.NoDriver, match="there is no NVIDIA driver here") as raised:
        cuda.load()
    assert raised.value.kind == "runtime"
    assert tried[0] == "libcuda.so.1"
    assert any("tegra" in name for name in tried)


def test_a_driver_without_a_gpu(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITBENCH_STAND_IN_FAILS", "no-gpu")
    with pytest.raises(cuda.NoDriver, match=r"finds no GPU \(CUDA_ERROR_NO_DEVICE, no CUDA-capable device"):
        cuda.load()


def test_a_driver_that_is_too_old(driver: cuda.Driver) -> None:
    del driver._library.cuGraphInstantiateWithFlags
    with pytest.raises(cuda.NoDriver, match="too old: it has no cuGraphInstantiateWithFlags"):
        driver.call("cuGraphInstantiateWithFlags", None, None, 0)


def test_every_function_is_called_as_cuda_declares_it(gpu: Any) -> None:
    import gpu_stand_in

    library = gpu_stand_in.Library(gpu)
    assert set(PROTOTYPES) == set(vars(library))
    for name, types in PROTOTYPES.items():
        declared = getattr(library, name).argtypes
        assert [ctypes.sizeof(kind) for kind in types] == [ctypes.sizeof(kind) for kind in declared], name


def test_a_failed_call_names_itself_and_its_error(driver: cuda.Driver) -> None:
    with pytest.raises(
        cuda.CudaError, match="cuStreamSynchronize failed: CUDA_ERROR_INVALID_HANDLE"
    ) as raised:
        driver.call("cuStreamSynchronize", ctypes.c_void_p(12))
    assert raised.value.status == 400
    assert driver.told(12345) == "status 12345"


def test_facts(driver: cuda.Driver) -> None:
    found = facts.facts(driver, 0)
    assert found["gpu_name"] == "Stand-in GPU"
    assert found["compute_capability"] == "8.7"
    assert found["cuda_driver"] == "12.6"
    assert found["gpu_memory_mb"] == 32 * 1024
    assert found["gpu_clock_max_mhz"] == 1300
    assert found["integrated"] is True
    assert found["gpu_pci"] == "0000:01:00.0"
    with pytest.raises(AgentError, match="no GPU number 1: the driver shows 1, from 0 on"):
        facts.facts(driver, 1)


def test_facts_that_a_driver_does_not_know_are_absent(
    driver: cuda.Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gpu_stand_in

    monkeypatch.setattr(gpu_stand_in, "ATTRIBUTES", {75: 8, 76: 7})
    found = facts.facts(driver, 0)
    assert found["compute_capability"] == "8.7"
    assert not {"gpu_clock_max_mhz", "integrated", "multiprocessors", "gpu_l2_bytes"} & set(found)


@pytest.mark.parametrize(("spin_wait", "flags"), [(True, 1), (False, 4)])
def test_the_host_waits_as_it_was_told(gpu: Any, driver: cuda.Driver, spin_wait: bool, flags: int) -> None:
    with cuda.Context(driver, 0, spin_wait=spin_wait):
        assert gpu.flags == flags
        # The flags of a context that is in use already would stay as they are.
        order = [gpu.calls.index(f"cuDevicePrimaryCtx{what}") for what in ("SetFlags_v2", "Retain")]
        assert order == sorted(order)


def test_everything_is_freed_the_last_first(gpu: Any, driver: cuda.Driver) -> None:
    context = cuda.Context(driver, 0, spin_wait=True)
    stream = context.stream()
    context.event()
    context.pinned(100)
    context.device_memory(100)
    launch = graph.capture(context, stream, lambda: None)
    assert launch is not None
    assert gpu.live() > 4
    begin = len(gpu.calls)
    context.close()
    assert gpu.live() == 0
    freed = gpu.calls[begin:]
    assert freed == [
        "cuGraphExecDestroy",
        "cuMemFree_v2",
        "cuMemFreeHost",
        "cuEventDestroy_v2",
        "cuStreamDestroy_v2",
        "cuDevicePrimaryCtxRelease_v2",
    ]
    context.close()
    assert gpu.calls[begin:] == freed


def test_a_gpu_that_is_gone_does_not_keep_the_end_away(
    gpu: Any, driver: cuda.Driver, capfd: pytest.CaptureFixture[str]
) -> None:
    context = cuda.Context(driver, 0, spin_wait=True)
    context.pinned(8)
    gpu.pinned.clear()
    context.close()
    assert "cuMemFreeHost failed" in capfd.readouterr().err
    assert gpu.retained == 0


def test_copies_take_place_when_they_are_waited_for(driver: cuda.Driver) -> None:
    with cuda.Context(driver, 0, spin_wait=True) as context:
        stream = context.stream()
        source, target, there = context.pinned(6), context.pinned(6), context.device_memory(6)
        source.write(b"abcdef")
        context.to_device(there, source, stream)()
        context.to_host(target, there, stream)()
        assert target.read() == bytes(6)
        stream.synchronize()
        assert target.read() == b"abcdef"
        view = target.view()
        view[0:2] = b"xy"
        assert target.read() == b"xycdef"
        assert (view.nbytes, view.format) == (6, "B")


def test_a_buffer_takes_no_other_size(driver: cuda.Driver) -> None:
    with (
        cuda.Context(driver, 0, spin_wait=True) as context,
        pytest.raises(ValueError, match="5 bytes for a buffer of 6"),
    ):
        context.pinned(6).write(b"abcde")


def test_memory_that_is_not_there(gpu: Any, driver: cuda.Driver) -> None:
    with (
        cuda.Context(driver, 0, spin_wait=True) as context,
        pytest.raises(
            cuda.CudaError, match="cuMemAlloc_v2 failed: CUDA_ERROR_OUT_OF_MEMORY, out of memory"
        ) as raised,
    ):
        context.device_memory(gpu.memory_bytes + 1)
    assert raised.value.kind == "memory"


def test_events_give_the_gpus_own_time(driver: cuda.Driver) -> None:
    with cuda.Context(driver, 0, spin_wait=True) as context:
        stream = context.stream()
        host, there = context.pinned(8000), context.device_memory(8000)
        first, second = context.event(), context.event()
        first.recorder(stream)()
        context.to_device(there, host, stream)()
        second.recorder(stream)()
        with pytest.raises(cuda.CudaError, match="NOT_READY"):
            first.ns_until(second)
        second.waiter()()
        assert first.ns_until(second) == pytest.approx(2000, abs=1)


def test_a_graph_holds_what_was_queued(gpu: Any, driver: cuda.Driver) -> None:
    with cuda.Context(driver, 0, spin_wait=True) as context:
        stream = context.stream()
        source, target, there = context.pinned(2), context.pinned(2), context.device_memory(2)

        def enqueue() -> None:
            context.to_device(there, source, stream)()
            context.to_host(target, there, stream)()

        launch = graph.capture(context, stream, enqueue)
        stream.synchronize()
        assert gpu.graphs == {}, "what a graph was made of is freed at once"
        for data in (b"ab", b"cd"):
            source.write(data)
            launch()
            stream.synchronize()
            assert target.read() == data


@pytest.mark.parametrize("error", [AgentError("runtime", "no"), TypeError("of the bindings")])
def test_a_stream_can_be_used_after_a_capture_that_failed(
    gpu: Any, driver: cuda.Driver, error: Exception
) -> None:
    with cuda.Context(driver, 0, spin_wait=True) as context:
        stream = context.stream()

        def enqueue() -> None:
            raise error

        with pytest.raises(type(error)):
            graph.capture(context, stream, enqueue)
        host, there = context.pinned(2), context.device_memory(2)
        context.to_device(there, host, stream)()
        stream.synchronize()
        assert gpu.live() == 4  # the context, the stream and two buffers


def test_a_driver_that_refuses_a_capture(driver: cuda.Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITBENCH_STAND_IN_FAILS", "capture")
    with cuda.Context(driver, 0, spin_wait=True) as context:
        stream = context.stream()
        with pytest.raises(cuda.CudaError, match="CAPTURE_INVALIDATED"):
            graph.capture(context, stream, lambda: None)
        stream.synchronize()
