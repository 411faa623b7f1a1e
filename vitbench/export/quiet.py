"""Keep libraries that talk away from data on stdout."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

# They report packages that are absent, and every node that they leave alone.
_TALKERS = ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")


@contextlib.contextmanager
def quiet() -> Iterator[io.StringIO]:
    """Swallow warnings, log records below an error, and what is printed; yields what was printed."""
    loggers = [logging.getLogger(name) for name in _TALKERS]
    levels = [logger.level for logger in loggers]
    printed = io.StringIO()
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(printed),
            contextlib.redirect_stderr(printed),
        ):
            warnings.simplefilter("ignore")
            yield printed
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
