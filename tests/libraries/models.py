"""Models of other libraries, and a table for them. Libraries are imported where they are used."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

RNG = np.random.default_rng(8)
FRAME = pd.DataFrame(
    {
        "text": RNG.choice(["x", "y", "z"], 600),
        "b": RNG.normal(size=600).astype(np.float32),
        "a": RNG.normal(size=600).astype(np.float32),
        "whole": RNG.integers(0, 50, 600),
    }
)
GAPPY = FRAME.assign(a=FRAME["a"].mask(np.arange(600) % 6 == 0))
SCORE = FRAME["a"] + FRAME["whole"] / 25 + RNG.normal(size=600) / 2
TWO = (SCORE > 1.2).astype(int).to_numpy()
THREE = TWO + (SCORE > 2).to_numpy()
NUMBERS = ["whole", "a", "b"]  # another order than the table's


def make_lightgbm(kind: str, **settings: Any) -> Any:
    """A model of 20 rounds on one thread."""
    import lightgbm

    make = {"class": lightgbm.LGBMClassifier, "number": lightgbm.LGBMRegressor}[kind]
    return make(**{"n_estimators": 20, "verbose": -1, "n_jobs": 1, **settings})


def make_xgboost(kind: str, **settings: Any) -> Any:
    """A model of 20 rounds on one thread."""
    import xgboost

    make = {"class": xgboost.XGBClassifier, "number": xgboost.XGBRegressor}[kind]
    return make(**{"n_estimators": 20, "max_depth": 4, "n_jobs": 1, **settings})


def make_catboost(kind: str, **settings: Any) -> Any:
    """A model of 20 rounds on one thread."""
    import catboost

    make = {"class": catboost.CatBoostClassifier, "number": catboost.CatBoostRegressor}[kind]
    quiet = {"verbose": False, "allow_writing_files": False, "thread_count": 1}
    return make(**{"iterations": 20, "depth": 4, **quiet, **settings})


MAKERS: dict[str, Callable[..., Any]] = {
    "lightgbm": make_lightgbm,
    "xgboost": make_xgboost,
    "catboost": make_catboost,
}
# What each asks for on a frame whose column "text" is of categories.
ON_CATEGORIES: dict[str, dict[str, Any]] = {
    "lightgbm": {},
    "xgboost": {"enable_categorical": True},
    "catboost": {"cat_features": ["text"]},
}
