"""The program that runs beside the device and is the only one that times.

It needs the standard library of Python 3.8 and the runtime that it drives, and imports nothing else of
this project, so that it can be packed into one file and run anywhere.
"""

from __future__ import annotations

AGENT_VERSION = "1"
