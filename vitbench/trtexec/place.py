"""Where trtexec and the engines it makes lie on a device."""

from __future__ import annotations

OPTION = "trtexec"
# JetPack and NVIDIA's packages; NVIDIA's containers; then whatever the device finds by itself.
USUAL = ("/usr/src/tensorrt/bin/trtexec", "/opt/tensorrt/bin/trtexec", "trtexec")
WHERE_FROM = (
    "on JetPack `sudo apt-get install libnvinfer-bin`, in NVIDIA's containers /opt/tensorrt/bin; wheels of "
    "pip have none, and from TensorRT 10.14 on, as for JetPack 7.2, it is built from the samples on GitHub; "
    f"`{OPTION}` in the target's options names it"
)
# The first of its arguments that can be run, for `sh -c`.
FIND = """\
for P in "$@"; do
  case "$P" in "~/"*) P="$HOME/${P#??}";; esac
  command -v "$P" && exit 0
done
exit 1
"""
# The directory of the engine of a key, made where it is not there, for `sh -c`.
MAKE = (
    "B=${VITBENCH_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/vitbench}/engines\n"
    'mkdir -p "$B/$1" && cd "$B/$1" && pwd'
)
ENGINE, PARTIAL, LAYERS, TIMINGS = "engine.plan", "engine.partial", "layers.json", "timings"


def candidates(chosen: str | None) -> tuple[str, ...]:
    """Paths of trtexec to try, in order: the one that was chosen alone, else the usual ones."""
    return (chosen,) if chosen else USUAL
