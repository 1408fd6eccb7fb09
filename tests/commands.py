"""The command line, as tests call it."""

import signal
import sys

import pytest

from kdexport.cli import main
from kdexport.stops import STOPS

# In a process of its own: `python -c CODE ARGUMENTS`.
CODE = "from kdexport.cli import main; main()"


def kdexport(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """Run the command line in this process; returns its exit code."""
    monkeypatch.setattr(sys, "argv", ["kdexport", *map(str, arguments)])
    handlers = {number: signal.getsignal(number) for number in STOPS}
    try:
        with pytest.raises(SystemExit) as stop:
            main()
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return int(stop.value.code or 0)
