"""The program `vitbench`, also as `python -m vitbench`."""

from __future__ import annotations

import sys


def main() -> None:
    """Import the command line and run it; Ctrl-C before it can answer for itself ends as it does later."""
    try:
        from vitbench.cli.main import main as run
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
