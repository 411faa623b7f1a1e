"""Planning a study imports nothing heavy."""

import subprocess
import sys

PROBE = """
import sys
import vitbench.stats.crossover, vitbench.study.intensity, vitbench.study.matching, vitbench.study.tokens
from vitbench import catalog
assert vitbench.study.tokens.parse_grids(["49,14x14"]) and catalog.resolve_model("attention-8x16+cga:7x7")
print(*{"torch", "onnx", "onnxruntime", "scipy"} & set(sys.modules))
"""


def test_nothing_heavy_is_imported() -> None:
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
