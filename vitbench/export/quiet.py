"""Keep libraries that talk away from data on stdout."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Swallow warnings, log records below an error, and what Python code prints."""
    disabled = logging.root.manager.disable
    printed = io.StringIO()
    try:
        logging.disable(logging.WARNING)
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(printed),
            contextlib.redirect_stderr(printed),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
