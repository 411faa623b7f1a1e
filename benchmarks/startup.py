"""How long `vitbench --help` takes, against importing the two libraries it is made of.

python -m benchmarks.startup [--runs 20]
"""

from __future__ import annotations

import argparse
import sys

from benchmarks.commands import median_ratio, print_verdict

LIMIT = 2.5


def main() -> int:
    """Print the ratio of the medians; 1 when it is over the limit."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=20, help="counted runs of each side (default: 20)")
    runs = parser.parse_args().runs
    help_command = [sys.executable, "-m", "vitbench", "--help"]
    imports = [sys.executable, "-c", "import typer, rich"]
    ours, theirs, ratio = median_ratio(help_command, imports, runs)
    return 0 if print_verdict("vitbench --help", ours, theirs, ratio, LIMIT) else 1


if __name__ == "__main__":
    sys.exit(main())
