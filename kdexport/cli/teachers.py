"""`--teacher`: a user's own teacher on the command line, an ONNX file or a function to import."""

import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kdexport.errors import DataError, running_user_code

FORMS = "--teacher takes an .onnx file, or MODULE:FUNCTION of yours that returns a teacher"


def load_teachers(given: Sequence[str]) -> list[Any] | None:
    """Return what `--teacher` names, in order; None where it was not given.

    A function is imported from the user's own code, the current folder first, and called without
    arguments; it returns one teacher or a list. No file is unpickled.

    Raises:
        DataError: One is neither form, or cannot be imported or called.
    """
    teachers: list[Any] = []
    for text in given:
        if Path(text).suffix.lower() == ".onnx":
            teachers.append(Path(text))
            continue
        made = _call(text)
        teachers += made if isinstance(made, list | tuple) else [made]
    return teachers or None


def _call(text: str) -> Any:
    module, separator, function = text.partition(":")
    if not separator or not all(part.isidentifier() for part in [*module.split("."), function]):
        raise DataError(
            FORMS,
            found=repr(text),
            cure="pickles are not read: load yours in a function of your own and name that",
        )
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    with running_user_code(repr(text), rule=FORMS, cure="try it in Python, from the same folder"):
        return getattr(importlib.import_module(module), function)()
