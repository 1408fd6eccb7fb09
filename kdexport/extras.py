"""What stands behind an extra: imported when it is used, and named where it is not installed.

Imports `errors` and the standard library only.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from kdexport.errors import DependencyError

TRAINING = {"onnxscript", "safetensors", "sklearn", "spox", "threadpoolctl", "torch"}
"""What kdexport[train] installs, by the names that are imported."""


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
        raise _name_absent(error, extra, rule) from error


def find_absent(error: BaseException) -> DependencyError | None:
    """Return what an error says in the user's words, where a package of training is absent."""
    if not isinstance(error, ModuleNotFoundError):
        return None
    is_training = (error.name or "").partition(".")[0] in TRAINING
    return _name_absent(error, "train", "this command needs") if is_training else None


def _name_absent(error: ModuleNotFoundError, extra: str, rule: str) -> DependencyError:
    return DependencyError(
        f"{rule} the packages of kdexport[{extra}]",
        found=f"{error.name} is not installed",
        cure=f"pip install 'kdexport[{extra}]'",
    )
