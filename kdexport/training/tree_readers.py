"""Whatever fitted model a user has, as trees: scikit-learn's, boosting libraries', pipelines.

Takes a fitted model, gives `FittedTrees`, or says why it is no sum of trees.
"""

from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline

from kdexport.training.boosters import READERS
from kdexport.training.estimators import HISTOGRAM, read_estimator, refuse_estimator
from kdexport.training.pipelines import UnfoldedError, fold_pipeline
from kdexport.training.sets import FittedTrees


def read_trees(model: object) -> FittedTrees:
    """Return a fitted model as a sum of trees.

    Args:
        model: Trees, forests and boosting of scikit-learn, LightGBM, XGBoost or CatBoost, or a
            pipeline with one of them at its end.

    Raises:
        DataError: It is not fitted, none of these, or no plain sum of trees over numbers and sets
            of categories.
    """
    if isinstance(model, Pipeline):
        last = model.steps[-1][1]
        library = _find_library(last)
        is_wide = isinstance(last, HISTOGRAM) or library == "lightgbm"
        try:
            return fold_pipeline(
                model, read_trees(last), narrow=not is_wide, takes_sparse=library != "xgboost"
            )
        except UnfoldedError as error:
            raise refuse_estimator(model, str(error)) from error
        except (AttributeError, NotFittedError) as error:
            raise refuse_estimator(model, f"a step of it is not fitted ({error!r})") from error
    library = _find_library(model)
    if library is None:
        return read_estimator(model)
    try:
        return READERS[library](model)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        found = f"its {library} writes of itself what is not known here ({error!r})"
        raise refuse_estimator(model, found) from error


def _find_library(model: object) -> str | None:
    """The boosting library that a model's class comes from, or None."""
    names = (kind.__module__.split(".")[0] for kind in type(model).__mro__)
    return next((name for name in names if name in READERS), None)
