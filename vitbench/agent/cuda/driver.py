"""The driver's library, loaded; every call of it checked."""

from __future__ import annotations

import ctypes
from typing import Any, Callable, Dict

from ..errors import AgentError
from .prototypes import PROTOTYPES

# The loader's own path first; then where Jetson boards, WSL and containers have it outside of that.
NAMES = (
    "libcuda.so.1",
    "libcuda.so",
    "/usr/lib/aarch64-linux-gnu/nvidia/libcuda.so.1",
    "/usr/lib/aarch64-linux-gnu/tegra/libcuda.so.1",
    "/usr/lib/wsl/lib/libcuda.so.1",
    "/usr/local/nvidia/lib64/libcuda.so.1",
)
NO_DEVICE = 100
OUT_OF_MEMORY = 2


class NoDriver(AgentError):
    """There is no NVIDIA driver here, or no GPU that it drives."""

    def __init__(self, message: str) -> None:
        super().__init__("runtime", message)


class CudaError(AgentError):
    """A call of the driver that failed.

    Attributes:
        status: its CUresult.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__("memory" if status == OUT_OF_MEMORY else "runtime", message)
        self.status = status


class Driver:
    """The functions of the driver's library.

    Args:
        library: what `ctypes.CDLL` gives.

    Raises:
        NoDriver: the driver does not start, or finds no GPU.
    """

    def __init__(self, library: Any) -> None:
        self._library = library
        self._functions: Dict[str, Any] = {}
        status = self._function("cuInit")(0)
        if status:
            told = self.told(status)
            why = "finds no GPU" if status == NO_DEVICE else "does not start"
            raise NoDriver(f"the NVIDIA driver {why} ({told})")

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function.

        Raises:
            CudaError: it does not answer with success.
        """
        status = self._function(name)(*arguments)
        if status:
            raise self.error(name, status)

    def bound(self, name: str, *arguments: Any) -> Callable[[], None]:
        """The same call for a loop that is timed: found and converted once."""
        function = self._function(name)

        def step() -> None:
            status = function(*arguments)
            if status:
                raise self.error(name, status)

        return step

    def integer(self, name: str, *arguments: Any) -> int:
        """Call a function that writes an int through its first argument."""
        value = ctypes.c_int()
        self.call(name, ctypes.byref(value), *arguments)
        return value.value

    def handle(self, name: str, *arguments: Any) -> ctypes.c_void_p:
        """Call a function that writes a handle through its first argument."""
        value = ctypes.c_void_p()
        self.call(name, ctypes.byref(value), *arguments)
        return value

    def text(self, name: str, *arguments: Any) -> str:
        """Call a function that writes a text into a buffer, its first two arguments."""
        buffer = ctypes.create_string_buffer(256)
        self.call(name, buffer, len(buffer), *arguments)
        return buffer.value.decode(errors="replace")

    def error(self, name: str, status: int) -> CudaError:
        """What a call that failed is told as."""
        return CudaError(f"{name} failed: {self.told(status)}", status)

    def told(self, status: int) -> str:
        """Name and meaning of a status: "CUDA_ERROR_OUT_OF_MEMORY, out of memory"."""
        words = []
        for name in ("cuGetErrorName", "cuGetErrorString"):
            found = ctypes.c_char_p()
            if self._function(name)(status, ctypes.byref(found)) == 0 and found.value:
                words.append(found.value.decode(errors="replace"))
        return ", ".join(words) or f"status {status}"

    def _function(self, name: str) -> Any:
        if name not in self._functions:
            try:
                function = getattr(self._library, name)
            except AttributeError:
                raise NoDriver(f"this NVIDIA driver is too old: it has no {name}") from None
            function.argtypes = PROTOTYPES[name]
            function.restype = ctypes.c_int
            self._functions[name] = function
        return self._functions[name]


def load() -> Driver:
    """Load the driver of this machine and start it.

    Raises:
        NoDriver: there is none, or no GPU that it drives.
    """
    for name in NAMES:
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        return Driver(library)
    raise NoDriver("there is no NVIDIA driver here (no libcuda.so.1)")
