"""A Python that has the stand-in, and what this one has: what a device's own Python is to the agent."""

from __future__ import annotations

import functools
import shutil
import site
import subprocess
import sys
import sysconfig
from pathlib import Path

HERE = Path(__file__).parent
OLDEST = "3.8"


@functools.cache
def old_python() -> str | None:
    """A Python of the oldest version that the agent runs under; None where there is none."""
    installed = sorted(Path.home().glob(f".pyenv/versions/{OLDEST}.*/bin/python"))
    for candidate in (shutil.which(f"python{OLDEST}"), *map(str, installed)):
        if candidate is None:
            continue
        # A name of that kind may be a shim that leads nowhere.
        asked = [candidate, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
        if done.stdout.strip() == OLDEST:
            return candidate
    return None


def make_python(directory: Path, base: str = sys.executable, *, packages: bool = True) -> Path:
    """Make an environment with the stand-in on its path; returns its interpreter.

    Args:
        base: interpreter to make it of.
        packages: whether it also has the packages of this one, as ONNX graphs need.
    """
    subprocess.run([base, "-m", "venv", "--without-pip", str(directory)], check=True, capture_output=True)
    python = directory / "bin" / "python"
    asked = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    place = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
    paths = [str(HERE)]
    if packages:
        paths += dict.fromkeys([*site.getsitepackages(), sysconfig.get_path("purelib")])
    Path(place, "stand_in.pth").write_text("\n".join([*paths, "import gpu_stand_in_hook"]) + "\n")
    return python
