"""Teachers and the rows they were fitted on: noticed, and cured by fitting copies out of fold.

A model answers rows that it has seen too surely: with such answers a student learns the labels and
their noise, not what the teacher knows. Takes an `OwnTeacher` and training rows, gives one whose
answers for each row come from copies that never saw it.
"""

import warnings
from dataclasses import replace

import numpy as np
from sklearn.base import clone
from sklearn.utils.validation import has_fit_parameter

from kdexport.errors import DataError, KdexportWarning, running_user_code
from kdexport.records import (
    Column,
    Float64,
    Progress,
    ProgressSink,
    Rows,
    Table,
    ignore_progress,
)
from kdexport.training.boosting import split_folds
from kdexport.training.own_teacher import OwnTeacher, ask_teacher
from kdexport.training.teachers import EstimatorTeacher, Teacher

TOO_SURE = 0.99  # agreement with the training labels, or R2, from which they were probably seen
RARE = 0.1  # and of the rows that are not of the most frequent class, the share missed at most


def warn_of_seen_rows(
    teacher: OwnTeacher, train: Rows, on_progress: ProgressSink = ignore_progress
) -> None:
    """Warn where a teacher agrees with the training labels so well that it has seen them."""
    answers = teacher.answer(teacher.restorer.restore(train.inputs), on_progress)
    targets, weights = train.targets, train.weights
    if teacher.schema.signature.is_regression:
        center = np.average(targets, weights=weights)
        missed = np.average((targets - answers[:, 0]) ** 2, weights=weights)
        all_there_is = np.average((targets - center) ** 2, weights=weights)
        share, what = 1.0 - float(missed / all_there_is), "explains {:.1%} of the training target"
        is_too_sure = share >= TOO_SURE
    else:
        share = float(np.average(answers.argmax(axis=1) == targets, weights=weights))
        what = "agrees with {:.1%} of the training labels"
        most_frequent = np.bincount(targets, weights).max() / weights.sum()
        is_too_sure = 1 - share < min(1 - TOO_SURE, RARE * (1 - most_frequent))
    if is_too_sure:
        warnings.warn(
            f"the teacher {what.format(share)}: it has probably been fitted on these rows. Then "
            "it teaches their labels more than what it knows of other rows, and its score on test "
            "rows taken from them is too good. Pass --oof (oof=True) to fit copies of it out of "
            "fold, or rows that it has not seen",
            KdexportWarning,
            stacklevel=2,
        )


def refit_out_of_fold(
    teacher: OwnTeacher,
    train: Rows,
    *,
    n_folds: int,
    seed: int,
    on_progress: ProgressSink = ignore_progress,
) -> OwnTeacher:
    """Fit copies of every model on all folds but one; their mean is the teacher.

    Args:
        teacher: Of models that scikit-learn can clone; fitted or not.
        train: The rows to fit on, and no others.
        n_folds: Copies of each model.
        seed: Decides the folds.
        on_progress: Told after each copy.

    Returns:
        The mean of all copies, with what it answers for the training rows: each row by the copies
        that never saw it.

    Raises:
        DataError: A teacher cannot be cloned or fitted.
    """
    schema = teacher.schema
    table = teacher.restorer.restore(train.inputs)
    labels: Column = train.targets
    if not schema.signature.is_regression:
        labels = schema.signature.label_values[train.targets]
    if train.n_rows < n_folds:
        raise DataError(
            "every fold has rows",
            found=f"{train.n_rows} training rows for {n_folds} folds",
            cure="pass more rows",
        )
    folds = split_folds(train, schema, n_folds, seed)
    own = np.zeros((train.n_rows, max(len(schema.signature.classes), 1)))
    copies: list[Teacher] = []
    for model, weight in zip(teacher.teachers, teacher.weights, strict=True):
        for left_out in folds:
            kept = np.setdiff1d(np.arange(train.n_rows), left_out)
            copy = _fit_copy(model, table, labels, train.weights, kept)
            answers = ask_teacher(copy, table.take(left_out), schema.signature.classes)
            own[left_out] += weight * answers
            copies.append(copy)
            n_all = n_folds * len(teacher.teachers)
            on_progress(Progress("copies out of fold", len(copies), n_all))
    weights = tuple(weight / n_folds for weight in teacher.weights for _ in range(n_folds))
    outputs = teacher.to_outputs(own).astype(np.float64)
    return replace(teacher, teachers=tuple(copies), weights=weights, own_outputs=outputs)


def _fit_copy(
    teacher: Teacher, table: Table, labels: Column, weights: Float64, rows: Column
) -> EstimatorTeacher:
    if not isinstance(teacher, EstimatorTeacher) or not hasattr(teacher.model, "fit"):
        raise DataError(
            "--oof (oof=True) fits copies of models with scikit-learn's interface",
            found=f"{teacher.name} cannot be fitted",
            cure="leave oof out and pass rows that it has not seen",
        )
    fit_options = {}
    if (weights != weights[0]).any():
        if has_fit_parameter(teacher.model, "sample_weight"):
            fit_options["sample_weight"] = weights[rows]
        else:
            warnings.warn(
                f"{teacher.name} takes no sample weights: its copies are fitted without",
                KdexportWarning,
                stacklevel=3,
            )
    part = table.take(rows)
    with running_user_code(
        teacher.name,
        rule="a copy of a teacher can be fitted on the training rows",
        cure="try it by itself, or leave oof out",
    ):
        copy = clone(teacher.model)
        copy.fit(teacher.arrange(part), labels[rows], **fit_options)
    return replace(teacher, model=copy)
