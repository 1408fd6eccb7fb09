"""What stands behind an extra: imported when it is used, and named where it is not installed.

Imports `errors` and the standard library only.
"""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kdexport.errors import DependencyError


@contextmanager
def needing(extra: str, *, rule: str) -> Iterator[None]:
    """Say what to install where a package that is imported inside is not there.

    Args:
        extra: The extra of kdexport that has it.
        rule: What needs it.

    Raises:
        DependencyError: A package is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("kdexport"):
            raise
        raise DependencyError(
            f"{rule} the packages of kdexport[{extra}]",
            found=f"{error.name} is not installed",
            cure=f"pip install 'kdexport[{extra}]'",
        ) from error


def import_training_room(name: str) -> Any:
    """Import a room of `kdexport.training`, which needs torch and scikit-learn."""
    with needing("train", rule="training needs"):
        return importlib.import_module(f"kdexport.training.{name}")
