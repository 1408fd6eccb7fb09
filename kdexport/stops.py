"""Stops, SIGINT and SIGTERM, put off while something must not be left half done.

Imports the standard library only.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

STOPS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def unstoppable() -> Iterator[None]:
    """Put SIGINT and SIGTERM off until the block is left."""
    if threading.current_thread() is not threading.main_thread():  # only that one is ever stopped
        yield
        return
    arrived: list[int] = []
    # Handlers that a host program set in C are None: they could not be put back, and stay.
    handlers = {n: handler for n in STOPS if (handler := signal.getsignal(n)) is not None}
    try:
        for number in handlers:
            signal.signal(number, lambda number, _: arrived.append(number))
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if arrived:
            signal.raise_signal(arrived[0])
