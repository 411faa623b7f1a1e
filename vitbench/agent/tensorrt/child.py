"""Work that may end the process that does it: TensorRT's builder and its probe crash, or eat all memory."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

from .. import gpu, pipes
from ..errors import AgentError

TASKS = ("build", "probe", "version")
# Of the parent, so that a hopeless child is not waited for: the host gives up on its own before.
TIMEOUT_S = 2 * 3600.0


def run(task: str, request: Dict[str, Any], timeout_s: float = TIMEOUT_S) -> Dict[str, Any]:
    """Do a task in a fresh process and return what it returns. What it says goes to stderr.

    Raises:
        AgentError: the task's own error, or how its process ended.
    """
    # The number of a GPU means the same one here and where the engine is run.
    gpu.count_as_nvml()
    top = __name__.partition(".")[0]
    # Of a zip application this is the file itself.
    place = Path(str(sys.modules[top].__file__)).parent.parent
    program = f"import sys; sys.path.insert(0, {str(place)!r}); from {__name__} import serve; serve()"
    with subprocess.Popen(
        [sys.executable, *_flags(), "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            out, _ = process.communicate(json.dumps({"task": task, **request}).encode(), timeout_s)
        except BaseException as error:
            process.kill()
            if isinstance(error, subprocess.TimeoutExpired):
                raise AgentError("runtime", f"the {task} did not end in {timeout_s:g} s") from None
            raise
    if process.returncode:
        kind = "memory" if process.returncode == -signal.SIGKILL else "runtime"
        raise AgentError(kind, f"the {task} of TensorRT {_ended(process.returncode)}")
    reply: Dict[str, Any] = json.loads(out)
    if "error" in reply:
        raise AgentError(reply["error"]["kind"], reply["error"]["message"])
    return reply


def installed_version(timeout_s: float = 30.0) -> Optional[str]:
    """Version of the TensorRT that this Python would import; None where it has none, or a broken one."""
    from importlib import metadata, util

    if util.find_spec("tensorrt") is None:
        return None
    try:
        return metadata.version("tensorrt")
    except metadata.PackageNotFoundError:
        pass
    try:
        return str(run("version", {}, timeout_s)["version"])
    except AgentError as error:
        print(error.message, file=sys.stderr, flush=True)
        return None


def serve() -> None:
    """Answer the one request on stdin; the process ends with whoever waits for the answer."""
    requests, replies = pipes.take()
    pipes.end_with_reader(replies)
    with requests:
        request = json.loads(requests.read())
    try:
        reply = _task(request.pop("task"))(request)
    except AgentError as error:
        reply = {"error": {"kind": error.kind, "message": error.message}}
    pipes.write(replies, json.dumps(reply).encode())
    sys.stderr.flush()
    # What the libraries would do at the end may crash, and then a good answer would count for nothing.
    os._exit(0)


def _task(name: str) -> Callable[[Dict[str, Any]], Dict[str, Any]]:
    if name == "build":
        from .build import build

        return build
    from .probe import probe, version

    return {"probe": probe, "version": version}[name]


def _flags() -> List[str]:
    """Those under which this interpreter runs, so that the child imports the same."""
    flags = ["-X", "faulthandler"]
    for name, flag in (("ignore_environment", "-E"), ("no_user_site", "-s"), ("safe_path", "-P")):
        if getattr(sys.flags, name, False):
            flags.append(flag)
    return flags


def _ended(returncode: int) -> str:
    """How a process ended; the kernel ends with signal 9 what takes more memory than there is."""
    if returncode >= 0:
        return f"ended with code {returncode}"
    try:
        name = f" ({signal.Signals(-returncode).name})"
    except ValueError:
        name = ""
    memory = ", as what takes more memory than there is" if -returncode == signal.SIGKILL else ""
    return f"was killed by signal {-returncode}{name}{memory}"
