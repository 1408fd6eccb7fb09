"""A user's pickled models: read only with leave, since reading one runs whatever code it holds."""

from pathlib import Path
from typing import Any

import joblib

from kdexport.errors import running_user_code


def load_pickle(path: Path) -> Any:
    """Load what joblib or pickle wrote. Whoever calls this has asked the user.

    Raises:
        DataError: It cannot be read.
    """
    with running_user_code(
        repr(path.name),
        rule="a pickled teacher can be loaded",
        cure="load it in Python, with the packages and versions that wrote it",
    ):
        return joblib.load(path)
