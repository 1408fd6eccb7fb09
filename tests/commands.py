"""The command line, as tests call it."""

import sys

import pytest

from kdexport.cli import main

# In a process of its own: `python -c CODE ARGUMENTS`.
CODE = "from kdexport.cli import main; main()"


def kdexport(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """Run the command line in this process; returns its exit code."""
    monkeypatch.setattr(sys, "argv", ["kdexport", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        main()
    return int(stop.value.code or 0)
