"""What one request at a time needs in PyTorch: its buffers on host and device, and a queue of its own."""

from __future__ import annotations

from typing import Any, Callable, Dict, List

from ..errors import AgentError
from ..timing import Stages
from .torch_place import Place, explain

# Runs before a capture: libraries choose their algorithms and take their workspaces in them.
RUNS_BEFORE_CAPTURE = 3

Described = List[Dict[str, Any]]


class Lane:
    """Buffers of one request. Copies go through pinned memory of the host, and nothing waits until `wait`.

    Args:
        place: where it computes.
        network: from tensors of the device to a tuple of such.
        inputs, outputs: `name`, `dtype`, `shape` of each.
        channels_last: keep maps in that order on the device; the host's stay as they are.
        captured: play the computation back as one CUDA graph.
    """

    def __init__(
        self,
        place: Place,
        network: Callable[..., Any],
        inputs: Described,
        outputs: Described,
        *,
        channels_last: bool,
        captured: bool,
    ) -> None:
        torch = place.torch
        self._place, self._network = place, network
        self._stream, self._marks = place.stream(), place.marks()
        self.parts = None if self._marks is None else self._marks.parts
        self._given = [place.host(item["shape"], getattr(torch, item["dtype"])) for item in inputs]
        self._taken = [place.host(item["shape"], getattr(torch, item["dtype"])) for item in outputs]
        self._names = [item["name"] for item in outputs]
        with place.on(self._stream):
            self._placed = [self._on_device(tensor, channels_last) for tensor in self._given]
            self._results: Any = None
            self._compute = self._run_network
            if captured:
                for _ in range(RUNS_BEFORE_CAPTURE):
                    self._run_network()
        if captured:
            self._compute, self._results = self._capture()

    def fill(self, arrays: List[Any]) -> None:
        """Put numpy arrays into the buffers of the host."""
        for tensor, array in zip(self._given, arrays):
            tensor.copy_(self._place.torch.from_numpy(array))

    def stages(self) -> Stages:
        """Copy in, compute, copy out and wait, on this lane's queue, which is the process's from now on."""
        self._place.use(self._stream)
        return self._guarded(self.put), self._guarded(self.run), self._guarded(self._fetch_and_wait)

    def put(self) -> None:
        """Tell the device to copy the inputs in."""
        self._mark(0)
        for tensor, source in zip(self._placed, self._given):
            tensor.copy_(source, non_blocking=True)
        self._mark(1)

    def run(self) -> None:
        """Tell the device to compute."""
        self._compute()
        self._mark(2)

    def fetch(self) -> None:
        """Tell the device to copy the outputs out."""
        for tensor, source in zip(self._taken, self._results):
            tensor.copy_(source, non_blocking=True)
        self._mark(3)

    def submit(self) -> None:
        """Tell the device to do one request; returns while it works."""
        try:
            with self._place.on(self._stream):
                self.put()
                self.run()
                self.fetch()
        except RuntimeError as error:
            raise explain(self._place.torch, error, self._place) from None

    def wait(self) -> None:
        """Wait until the outputs of the last request are in the buffers of the host."""
        if self._marks is not None:
            self._marks.wait()

    def outputs(self) -> Dict[str, Any]:
        """Copies of the outputs as numpy arrays by name."""
        return {name: tensor.numpy().copy() for name, tensor in zip(self._names, self._taken)}

    def _fetch_and_wait(self) -> None:
        self.fetch()
        self.wait()

    def _run_network(self) -> None:
        self._results = self._network(*self._placed)

    def _on_device(self, tensor: Any, channels_last: bool) -> Any:
        torch = self._place.torch
        is_map = channels_last and tensor.dim() == 4
        layout = torch.channels_last if is_map else torch.contiguous_format
        return torch.zeros(tensor.shape, dtype=tensor.dtype, device=self._place.device).contiguous(
            memory_format=layout
        )

    def _capture(self) -> Any:
        try:
            return self._place.capture(lambda: self._network(*self._placed), self._stream)
        except RuntimeError as error:
            told = explain(self._place.torch, error, self._place)
            if told.kind == "memory":
                raise told from None
            message = f"the network cannot be captured as a CUDA graph: {told.message}"
            raise AgentError("runtime", message) from None

    def _mark(self, number: int) -> None:
        if self._marks is not None:
            self._marks.mark(number, self._stream)

    def _guarded(self, stage: Callable[[], None]) -> Callable[[], None]:
        """The stage itself, its failures told in words."""

        def call() -> None:
            try:
                stage()
            except RuntimeError as error:
                raise explain(self._place.torch, error, self._place) from None

        return call
