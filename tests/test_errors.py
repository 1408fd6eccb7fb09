"""Error messages and exit codes."""

import re
from pathlib import Path

import pytest

from kdexport.errors import (
    DataError,
    DependencyError,
    KdexportError,
    OutputError,
    ParityError,
    RecipeError,
    SlowdownError,
    one_line,
)


def test_message_order() -> None:
    """A message says the rule, then what was found, then the cure."""
    error = DataError("tables have rows", found="none", cure="pass some")
    assert str(error) == "tables have rows, however: none; pass some"
    assert (error.rule, error.found, error.cure) == ("tables have rows", "none", "pass some")


def test_every_message_has_a_cure() -> None:
    """A message never ends where its cure should stand."""
    files = (Path(__file__).parents[1] / "kdexport").rglob("*.py")
    assert not [path for path in files if re.search(r'cure=f?""\W', path.read_text())]


@pytest.mark.parametrize("found", ["a\nb", "a\r\nb", "a\x1b[31mb", "a\x00b", "a\u2028b", "a\tb"])
def test_message_is_one_line(found: str) -> None:
    """Whatever the user's text holds, a message is one printable line."""
    message = str(DataError("rule", found=found, cure="cure"))
    assert message.isprintable()
    assert len(message.splitlines()) == 1


def test_one_line_keeps_accents() -> None:
    """Letters of any language pass through unchanged."""
    assert one_line("größe É 中文") == "größe É 中文"


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (DataError, 3),
        (OutputError, 3),
        (RecipeError, 2),
        (DependencyError, 2),
        (ParityError, 1),
        (SlowdownError, 1),
    ],
)
def test_exit_codes(kind: type[KdexportError], code: int) -> None:
    """Each kind of error stands for one exit code and is a KdexportError."""
    assert issubclass(kind, KdexportError)
    assert kind("r", found="f", cure="c").exit_code == code
