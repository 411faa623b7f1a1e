"""Where PyTorch computes: a CUDA device with its streams and events, or this machine's processor."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, Callable, ContextManager, List, Optional, Tuple

from ..errors import AgentError

NS_PER_MS = 1e6
MIB = 2**20
# What cuDNN, cuBLAS and the driver say in their own words.
NO_MEMORY = ("out of memory", "STATUS_ALLOC_FAILED", "can't allocate memory", "not enough memory")


class Marks:
    """Events round the three stages of an iteration on a stream of the device."""

    def __init__(self, torch: Any) -> None:
        self._events = [torch.cuda.Event(enable_timing=True) for _ in range(4)]

    def mark(self, number: int, stream: Any) -> None:
        """Note that the stream has come this far: 0 before the copy in, 3 after the copy out."""
        self._events[number].record(stream)

    def wait(self) -> None:
        """Wait, spinning, until the last mark is reached."""
        self._events[3].synchronize()

    def parts(self) -> Tuple[int, int, int]:
        """Nanoseconds of copy in, compute and copy out by the device's clock."""
        first, placed, done, last = self._events
        pairs = ((first, placed), (placed, done), (done, last))
        h2d, compute, d2h = (round(begin.elapsed_time(end) * NS_PER_MS) for begin, end in pairs)
        return h2d, compute, d2h


class Place:
    """The processor of this machine: what is told to run has run, and the host's clock serves."""

    def __init__(self, torch: Any, name: str) -> None:
        self.torch = torch
        self.device = torch.device(name)
        self.is_cuda = False

    def stream(self) -> Any:
        """A queue of work; None where there is none."""
        return None

    def on(self, stream: Any) -> ContextManager[Any]:
        """What is told inside goes to this queue."""
        return nullcontext()

    def use(self, stream: Any) -> None:
        """What is told from now on goes to this queue."""

    def host(self, shape: List[int], dtype: Any) -> Any:
        """A tensor of the host that the device copies from and to."""
        return self.torch.empty(shape, dtype=dtype)

    def marks(self) -> Optional[Marks]:
        """Events, where the device has a clock of its own."""
        return None

    def finish(self) -> None:
        """Wait until all is done."""

    def title(self) -> Optional[str]:
        """The device's name; None where it is this machine."""
        return None

    def free_mib(self) -> Optional[int]:
        """Free memory of the device; None where it is this machine's."""
        return None

    def capture(self, run: Callable[[], Any], stream: Any) -> Tuple[Callable[[], Any], Any]:
        """What plays back all that `run` tells the device, and the tensors that it fills."""
        raise AgentError("usage", "a CUDA graph needs a CUDA device: choose another mode, or device cuda:0")


class CudaPlace(Place):
    """A CUDA device."""

    def __init__(self, torch: Any, name: str) -> None:
        _refuse_absent(torch, name)
        super().__init__(torch, name)
        self.is_cuda = True
        torch.cuda.set_device(self.device)

    def stream(self) -> Any:
        """A queue of its own: work on the default one would wait for all others."""
        return self.torch.cuda.Stream(self.device)

    def on(self, stream: Any) -> ContextManager[Any]:
        """What is told inside goes to this queue."""
        found: ContextManager[Any] = self.torch.cuda.stream(stream)
        return found

    def use(self, stream: Any) -> None:
        """What is told from now on goes to this queue."""
        self.torch.cuda.set_stream(stream)

    def host(self, shape: List[int], dtype: Any) -> Any:
        """Pinned memory, which is copied while the host goes on."""
        return self.torch.empty(shape, dtype=dtype, pin_memory=True)

    def marks(self) -> Optional[Marks]:
        """Events of the device."""
        return Marks(self.torch)

    def finish(self) -> None:
        """Wait until all queues are empty."""
        self.torch.cuda.synchronize(self.device)

    def title(self) -> Optional[str]:
        """As the driver calls it."""
        return str(self.torch.cuda.get_device_name(self.device))

    def free_mib(self) -> Optional[int]:
        """Free memory of the device as the driver tells it; None where it tells nothing any more."""
        try:
            return int(self.torch.cuda.mem_get_info(self.device)[0]) // MIB
        except RuntimeError:
            return None

    def capture(self, run: Callable[[], Any], stream: Any) -> Tuple[Callable[[], Any], Any]:
        """Capture a CUDA graph. What runs must have run before, so that nothing is prepared inside of it."""
        graph = self.torch.cuda.CUDAGraph()
        self.finish()
        with self.torch.cuda.graph(graph, stream=stream):
            filled = run()
        return graph.replay, filled


def choose(torch: Any, name: Any) -> Place:
    """The place of a name: `cpu` or `cuda:N`.

    Raises:
        AgentError: a name that is none, or a device that is not there.
    """
    if name == "cpu":
        return Place(torch, "cpu")
    if isinstance(name, str) and name.startswith("cuda:") and name[5:].isdigit():
        return CudaPlace(torch, name)
    raise AgentError("usage", f"device must be cpu or cuda:N, not {name!r}")


def explain(torch: Any, error: Exception, place: Optional[Place]) -> AgentError:
    """What PyTorch says when it fails, and clear words where memory is what is missing.

    Args:
        place: where it failed; None where there was no place yet.
    """
    lines = str(error).strip().splitlines() or [type(error).__name__]
    if any(words in str(error) for words in NO_MEMORY):
        free = place.free_mib() if place else None
        left = "" if free is None else f" ({free} MiB are free now)"
        where = (place.title() if place else "the GPU") or "this machine"
        return AgentError("memory", f"{where} has not enough memory for this network and batch{left}")
    return AgentError("runtime", f"torch {torch.__version__} failed: {lines[0]}")


def _refuse_absent(torch: Any, name: str) -> None:
    if torch.version.cuda is None:
        raise AgentError(
            "usage",
            f"this torch ({torch.__version__}) has no CUDA: install a build of PyTorch with CUDA from "
            "pytorch.org, or measure on the target cpu",
        )
    if not torch.cuda.is_available():
        raise AgentError(
            "usage",
            f"torch {torch.__version__} finds no CUDA device: see whether `nvidia-smi` does, and whether the "
            f"driver is new enough for CUDA {torch.version.cuda}",
        )
    count = torch.cuda.device_count()
    if int(name[5:]) >= count:
        last = f"cuda:{count - 1}"
        raise AgentError("usage", f"there is no {name}: the last CUDA device of this machine is {last}")
