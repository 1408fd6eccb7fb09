"""Every error kdexport raises on purpose, and the exit code each one stands for.

Imports nothing of the package. A message has three parts, always in this order: the rule that
was broken, what was found instead, and what would help. It is one line, whatever the user's
text holds, because it is printed as one line.
"""

from collections.abc import Iterator
from contextlib import contextmanager


class KdexportError(Exception):
    """A rule was broken: says which, what was found, and what would help.

    Args:
        rule: The rule, as a sentence without its full stop.
        found: What was found instead.
        cure: What the reader can do about it.
    """

    exit_code = 3

    def __init__(self, rule: str, *, found: str, cure: str) -> None:
        self.rule, self.found, self.cure = rule, found, cure
        super().__init__(one_line(f"{rule}, however: {found}; {cure}"))


class DataError(KdexportError):
    """Input data or a file of the user cannot be used."""


class InputError(DataError, ValueError):
    """Rows or labels that an estimator was given cannot be used: scikit-learn asks for a
    ValueError.
    """


class OutputError(KdexportError):
    """The output cannot be written where the user asked."""


class RecipeError(KdexportError):
    """A recipe, or an option that overrides it, holds an unknown key or a bad value."""

    exit_code = 2


class ParityError(KdexportError):
    """A file does not answer as its source does."""

    exit_code = 1


class SlowdownError(KdexportError):
    """A file answers more slowly than its baseline allows."""

    exit_code = 1


class SearchError(KdexportError):
    """No student that a search tried keeps what was asked of it."""

    exit_code = 1


class DependencyError(KdexportError):
    """A package of an optional extra is not installed."""

    exit_code = 2


class KdexportWarning(UserWarning):
    """Something the user should know, that does not stop the work."""


@contextmanager
def running_user_code(name: str, *, rule: str, cure: str) -> Iterator[None]:
    """Turn whatever a user's own code raises into one line that says whose it was.

    Args:
        name: What messages call the code.
        rule: What it has to do.
        cure: What would help.

    Raises:
        DataError: It raised; errors of ours pass as they are.
    """
    try:
        yield
    except KdexportError:
        raise
    except Exception as error:
        found = f"{name} raised {type(error).__name__}: {error}"
        raise DataError(rule, found=found, cure=cure) from error


LONGEST_LINE = 1900


def one_line(text: str) -> str:
    """Return `text` with control characters escaped, so that it prints as one harmless line.

    What is longer than a line of text may be is cut in its middle: a file names its columns as it
    likes.
    """
    short = _shorten(text)
    return _shorten(
        "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in short)
    )


def _shorten(text: str) -> str:
    if len(text) <= LONGEST_LINE:
        return text
    half = LONGEST_LINE // 2
    return f"{text[:half]} [{len(text) - 2 * half:,} characters] {text[-half:]}"
