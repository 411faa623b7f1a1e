"""A Python that has the stand-in, and what this one has: what a device's own Python is to the agent."""

from __future__ import annotations

import site
import subprocess
import sys
import sysconfig
from pathlib import Path

HERE = Path(__file__).parent


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
