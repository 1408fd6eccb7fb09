"""What trees read of a table: its numbers, missing ones left as they are, and a rank per category.

Takes `Inputs`, gives features. Trees need no scaling, and a split has to be a threshold: so the
categories of each column stand in the order of what training saw of them. Imports numpy and the
rooms above it only.
"""

import numpy as np

from kdexport.records import Float32, Float64, Inputs, Rows
from kdexport.schema import Schema

PRIOR_ROWS = 10.0  # how many rows of the average target a category starts with, when ranked
MAX_BINS = 255  # of one column, in scikit-learn's trees


def read_features(inputs: Inputs, schema: Schema, readings: Float32) -> Float32:
    """Return what trees read of a table's inputs, as the exported file reads them.

    Numbers in float32 (in float64 tables less their centre, which is subtracted first), a missing
    one NaN; then W readings of each category. Nothing is bounded: what is infinite lies beyond
    every threshold, as the largest number of training does.

    **Shape** returns `[n, F + C * W]` float32.

    Args:
        inputs: Raw values.
        schema: Columns and categories.
        readings: What each category code is read as, such as `rank_categories` gives; `Trees`
            carry them.
    """
    numbers = inputs.numeric
    if schema.signature.precision == "float64":
        # An overflow becomes infinity, in the file too.
        with np.errstate(over="ignore"):
            numbers = (numbers - np.array(schema.center)).astype(np.float32)
    if not schema.categories:
        return numbers.astype(np.float32, copy=False)
    offsets = np.cumsum([0, *(category.n_codes for category in schema.categories)])[:-1]
    read = readings[schema.encode_categories(inputs.categorical) + offsets]
    flat = read.reshape(inputs.n_rows, -1)
    joined: Float32 = np.concatenate([numbers.astype(np.float32), flat], axis=1)
    return joined


def round_to_quantiles(features: Float32) -> Float32:
    """Round a column of more than 255 different values to the nearest of as many quantiles.

    A missing value stays.

    scikit-learn splits between such values anyway, in the middle of two of them, so that rows fall
    as their unrounded values do. It finds quantiles of its own where rows have weights: each one
    by sorting the column again, which took 60 times as long as the trees.

    **Shape** `[n, F]` float32 twice.
    """
    rounded = features.copy()
    for column in range(features.shape[1]):
        known = ~np.isnan(features[:, column])
        values = features[known, column].astype(np.float64)
        if len(np.unique(values)) > MAX_BINS:
            shares = np.linspace(0, 1, MAX_BINS)
            kept = np.unique(np.quantile(values, shares, method="nearest"))
            middles = (kept[1:] + kept[:-1]) / 2
            rounded[known, column] = kept[np.searchsorted(middles, values)]
    return rounded


def rank_categories(train: Rows, schema: Schema) -> Float32:
    """Order each column's codes by their rows' mean target, so that a split is a threshold.

    With more than two classes the mean target is a point, one coordinate per class; codes are
    ordered along the line on which the points differ most, their first principal component. A
    code's mean starts with a few rows of the overall mean, so rare ones stand in the middle, as
    does a code that training never met.

    **Shape** returns `[codes of all columns, 1]` float32: 0, 1, 2, ... in each column.

    Source: Wright and Koenig, "Splitting on categorical predictors in random forests" (2019).
    """
    if not schema.categories:
        return np.empty((0, 1), np.float32)
    codes = schema.encode_categories(train.inputs.categorical)
    targets = _target_columns(train, schema)
    overall = np.average(targets, axis=0, weights=train.weights)
    parts = []
    for column, category in enumerate(schema.categories):
        in_code = codes[:, column]
        counts = np.bincount(in_code, train.weights, category.n_codes).astype(np.float64)
        sums = [np.bincount(in_code, train.weights * y, category.n_codes) for y in targets.T]
        differences = np.stack(sums, axis=1) - counts[:, None] * overall
        smoothed = differences / (counts + PRIOR_ROWS)[:, None]
        order = np.argsort(smoothed @ _main_direction(smoothed, counts), kind="stable")
        ranks = np.empty(category.n_codes, np.float32)
        ranks[order] = np.arange(category.n_codes)
        parts.append(ranks)
    return np.concatenate(parts)[:, None]


def _main_direction(points: Float64, counts: Float64) -> Float64:
    """The first principal component of weighted points around 0, its largest entry positive."""
    if points.shape[1] == 1:
        return np.ones(1)
    _, vectors = np.linalg.eigh((points * counts[:, None]).T @ points)
    main: Float64 = vectors[:, -1] * np.sign(vectors[np.argmax(np.abs(vectors[:, -1])), -1])
    return main


def _target_columns(rows: Rows, schema: Schema) -> Float64:
    """Targets as numbers to average: one column, or one per class where they are more than two."""
    n_classes = len(schema.signature.classes)
    if n_classes <= 2:
        return rows.targets.astype(np.float64)[:, None]
    return np.eye(n_classes)[rows.targets]
