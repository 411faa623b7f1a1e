"""How long `vitbench report` takes over many records, against importing pandas alone.

    python -m benchmarks.report_speed [--records 1000] [--runs 20]

Timed in turn, as whole processes: with the index up to date, and without any. The limit is on the first;
the second is what the first report after a checkout costs, and is shown beside it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.commands import median_ratio, print_verdict
from benchmarks.example_records import example_record
from vitbench.records.index import NAME
from vitbench.records.store import Store

LIMIT = 4.0
MODELS = ("effvit-b0", "effvit-b1", "effvit-b1+softmax", "effvit-b2", "effvit-b3", "effvit-l1")
SIZES = (224, 256, 288, 384, 512)


def fill(store: Store, records: int) -> None:
    """Store made-up records of the size of real ones: five blocks of 260 iterations, every cell often."""
    for number in range(records):
        side = SIZES[number // len(MODELS) % len(SIZES)]
        model = MODELS[number % len(MODELS)]
        store.save(example_record(number, model=model, resolution=(side, side), latency_ms=1 + number % 97))


def main() -> int:
    """Print the ratios of the medians; 1 when the one with an index is over the limit."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--records", type=int, default=1000, help="records in the store (default: 1000)")
    parser.add_argument("--runs", type=int, default=20, help="counted runs of each side (default: 20)")
    options = parser.parse_args()
    pandas = [sys.executable, "-c", "import pandas"]
    with tempfile.TemporaryDirectory(prefix="vitbench-benchmark-") as directory:
        fill(Store(directory), options.records)
        report = [sys.executable, "-m", "vitbench", "report", "--all", "--results", directory]
        without = [sys.executable, "-c", _WITHOUT_INDEX, str(Path(directory, NAME)), *report[3:]]
        print_verdict("report, no index", *median_ratio(without, pandas, options.runs), LIMIT)
        kept = print_verdict("report", *median_ratio(report, pandas, options.runs), LIMIT)
    return 0 if kept else 1


_WITHOUT_INDEX = """
import pathlib, sys
pathlib.Path(sys.argv.pop(1)).unlink(missing_ok=True)
sys.argv[0] = "vitbench"
from vitbench.cli.main import main
main()
"""

if __name__ == "__main__":
    sys.exit(main())
