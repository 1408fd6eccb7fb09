"""Train a strong ensemble on a table, ship one small ONNX file, and prove it.

Importing the package loads neither torch nor scikit-learn nor onnxruntime: names are looked up in
their rooms when they are first used.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kdexport.bundle import load_bundle, read_bundle
    from kdexport.distilled import DistilledClassifier, DistilledRegressor
    from kdexport.errors import KdexportError
    from kdexport.evidence.checks import check_bundle, check_parity
    from kdexport.pipeline import run
    from kdexport.recipe import Recipe, read_recipe
    from kdexport.runtime import open_session, predict
    from kdexport.signature import Signature
    from kdexport.tables import as_table, read_table

__version__ = version("kdexport")

_ROOMS = {
    "DistilledClassifier": "kdexport.distilled",
    "DistilledRegressor": "kdexport.distilled",
    "KdexportError": "kdexport.errors",
    "Recipe": "kdexport.recipe",
    "Signature": "kdexport.signature",
    "as_table": "kdexport.tables",
    "check_bundle": "kdexport.evidence.checks",
    "check_parity": "kdexport.evidence.checks",
    "load_bundle": "kdexport.bundle",
    "read_bundle": "kdexport.bundle",
    "open_session": "kdexport.runtime",
    "predict": "kdexport.runtime",
    "read_recipe": "kdexport.recipe",
    "read_table": "kdexport.tables",
    "run": "kdexport.pipeline",
}

__all__ = [
    "DistilledClassifier",
    "DistilledRegressor",
    "KdexportError",
    "Recipe",
    "Signature",
    "as_table",
    "check_bundle",
    "check_parity",
    "load_bundle",
    "open_session",
    "predict",
    "read_bundle",
    "read_recipe",
    "read_table",
    "run",
]

if not TYPE_CHECKING:  # or a type checker would take any name for one that is there

    def __getattr__(name: str) -> Any:
        if name not in _ROOMS:
            raise AttributeError(f"module 'kdexport' has no attribute {name!r}")
        from kdexport.extras import needing

        with needing("train", rule=f"kdexport.{name} needs"):
            return getattr(import_module(_ROOMS[name]), name)
