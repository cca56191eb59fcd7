"""Converters that some ways of shipping need, without their noise."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO

from advprune.extras import need

__all__ = ["need", "quiet"]


@contextmanager
def quiet() -> Iterator[None]:
    """Without the warnings, logs and progress bars of converters, which no user can act on."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
