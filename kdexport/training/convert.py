"""A user's own teacher as trees that a file can hold, where it answers the same.

Takes an `OwnTeacher` and rows, gives a `Mixture` of trees or says why there is none: better no
teacher.onnx than one that answers otherwise. What is compared: the rows given, copies with a
missing cell, and rows on the trees' own thresholds.
"""

import numpy as np

from kdexport.errors import DataError
from kdexport.records import Float32, Float64, Inputs
from kdexport.schema import MISSING, Schema
from kdexport.training.mixture import Mixture
from kdexport.training.own_teacher import OwnTeacher
from kdexport.training.sets import FittedTrees, Reader, place
from kdexport.training.teachers import EstimatorTeacher, Teacher
from kdexport.training.tree_readers import read_trees
from kdexport.trees import LEAF, Trees, sum_of

TOLERANCE = 1e-5  # of probabilities, or of a number's distance from the mean
ROUNDING = 2.0**-24  # of a number: what one sum in float32 loses
MAX_THRESHOLDS = 4000  # rows that stand on thresholds or right beside them

RULE = "a teacher's file holds trees that answer as it does"


def convert_teacher(own: OwnTeacher, asked: Inputs) -> Mixture:
    """Return the trees of a user's teachers as one model that can be exported.

    Args:
        own: The teachers.
        asked: Rows on which both have to answer the same.

    Raises:
        DataError: They are no trees over the table's numbers, or answer otherwise; `found` is the
            reason.
    """
    names = [*own.restorer.examples]
    readers = [
        Reader(teacher.name, _read_model(teacher, own.schema), _name_columns(teacher, names))
        for teacher in own.teachers
    ]
    placed = place(readers, own.schema, own.restorer)
    parts = placed.parts
    if len(parts) > 1:
        parts = [part.scaled(w) for part, w in zip(parts, own.weights, strict=True)]
    if len(parts) > 1 and any(part.meaning == "logits" for part in parts):
        raise _refuse("a mean of probabilities of boosted models is no sum of trees")
    trees = parts[0] if len(parts) == 1 else sum_of(parts)
    mixture = Mixture(placed.schema, None, trees)
    _compare(own, mixture, asked, "rows of the table")
    _compare(own, mixture, _stand_on_thresholds(trees, own, asked), "rows on its thresholds")
    blank = _leave_blank(asked)
    try:
        own.make_answers(blank)
    except DataError:  # it takes no missing cells, so there is no answer to be true to
        return mixture
    _compare(own, mixture, blank, "rows with a missing cell")
    return mixture


def _read_model(teacher: Teacher, schema: Schema) -> FittedTrees:
    """Return a model's trees over its own columns."""
    if not isinstance(teacher, EstimatorTeacher):
        raise _refuse(f"{teacher.name} is no model with scikit-learn's interface")
    signature = schema.signature
    if signature.precision == "float64":
        raise _refuse("the table needs float64, in which thresholds would have to be moved")
    try:
        model = read_trees(teacher.model)
    except DataError as error:
        raise _refuse(f"{teacher.name}: {error.found}") from error
    if teacher.classes != signature.classes:
        raise _refuse(f"{teacher.name} does not answer every class of the task")
    return model


def _name_columns(teacher: Teacher, names: list[str]) -> list[str]:
    """What a model's columns are called, in its order."""
    read = teacher.fitted_names if isinstance(teacher, EstimatorTeacher) else []
    return read if read and set(read) <= set(names) else names


def _compare(own: OwnTeacher, mixture: Mixture, asked: Inputs, what: str) -> None:
    if not asked.n_rows:
        return
    exact, found = own.answer(own.restorer.restore(asked)), mixture.answer(asked)
    allowed: float | Float64 = TOLERANCE
    if own.schema.signature.is_regression:
        allowed = _allow_gaps(exact[:, 0], own.schema, mixture)
    gaps = np.abs(exact - found).max(axis=1)
    wrong = ~(gaps <= allowed)
    if wrong.any():
        row = int(np.argmax(np.where(np.isfinite(gaps), gaps, np.inf)))
        raise _refuse(
            f"its trees answer otherwise in {int(wrong.sum())} of {asked.n_rows} {what}, by up to "
            f"{gaps[row]:.2g}"
        )


def _allow_gaps(exact: Float64, schema: Schema, mixture: Mixture) -> Float64:
    """How far the trees' numbers may be from their teacher's, **Shape** `[n]` both.

    A share of the distance from the target's mean, and what the teacher itself may round by: some
    libraries add their trees in float32, starting at the mean. Most of what that loses cancels: of
    its bound a quarter is allowed, which XGBoost's 100 to 1,000 trees need.
    """
    distances = np.maximum(np.abs(exact - schema.target_center), schema.target_scale)
    n_trees = mixture.trees.n_trees if mixture.trees else 0
    rounding = min(ROUNDING * (4 + n_trees / 4), TOLERANCE)
    return np.asarray(TOLERANCE * distances + rounding * np.abs(exact), np.float64)


def _stand_on_thresholds(trees: Trees, own: OwnTeacher, rows: Inputs) -> Inputs:
    """Rows with one cell at a threshold of the trees, as float32 has it, or right above it.

    Only columns of fractions: a column of whole numbers holds no cell between two of them.
    """
    signature = own.schema.signature
    is_fractional = np.array(
        [
            own.restorer.examples[name].dtype.kind == "f" and name not in signature.kinds
            for name in signature.numeric
        ],
        bool,
    )
    is_number = (trees.feature != LEAF) & (trees.feature < len(signature.numeric))
    asks = is_number & np.isfinite(trees.threshold)
    asks[asks] = is_fractional[trees.feature[asks]]
    inner = np.flatnonzero(asks)
    chosen = inner[:: 1 + 2 * len(inner) // MAX_THRESHOLDS]
    at: Float32 = trees.threshold[chosen].astype(np.float32)
    values = np.concatenate([at, np.nextafter(at, np.float32(np.inf))])
    moved = rows.take(np.arange(len(values)) % rows.n_rows)
    numeric = moved.numeric.copy()
    numeric[np.arange(len(values)), np.tile(trees.feature[chosen], 2)] = values
    return Inputs(numeric, moved.categorical)


def _leave_blank(rows: Inputs) -> Inputs:
    """Copies with one cell missing, one column after the other; more than one where columns are
    more than rows, so that each has its turn.
    """
    numeric, categorical = rows.numeric.copy(), rows.categorical.copy()
    n_numbers, n_texts = numeric.shape[1], categorical.shape[1]
    n_turns = min(rows.n_rows, n_numbers + n_texts)
    turn = np.arange(n_numbers + n_texts) % n_turns
    is_blank = turn == (np.arange(rows.n_rows) % n_turns)[:, None]
    numeric[is_blank[:, :n_numbers]] = np.nan
    categorical[is_blank[:, n_numbers:]] = MISSING
    return Inputs(numeric, categorical)


def _refuse(why: str) -> DataError:
    return DataError(RULE, found=why, cure="nothing: the bundle goes without it")
