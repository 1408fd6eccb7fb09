"""What the evidence says of a task, its rows and how its models were trained.

Takes prepared tasks and checkpoints, gives facts; measures nothing.
"""

import hashlib
import platform
import warnings
from typing import Any

import numpy as np

from kdexport.errors import KdexportWarning
from kdexport.evidence.curves import trace_curve
from kdexport.evidence.facts import PartFact, TaskFact, TaskKind, UnlabeledFact
from kdexport.evidence.learning_facts import CurveFact, JudgedBy
from kdexport.prepared import Prepared, Trained
from kdexport.records import Float64, Int64
from kdexport.runtime import describe_runtime
from kdexport.training.own_teacher import OwnTeacher

MANY_COPIES = 0.01  # of the test rows


def trace_curves(
    prepared: Prepared, teacher: Trained | OwnTeacher, students: Trained
) -> dict[str, CurveFact]:
    """Return how teacher, students and controls trained, as far as that was kept."""
    looks: dict[str, tuple[Int64, Float64, JudgedBy]] = {}
    if isinstance(teacher, Trained) and teacher.looks is not None:
        looks["teacher"] = (*teacher.looks, "labels")
    if students.looks is not None:
        steps, losses = students.looks
        alpha, n = prepared.recipe.student.alpha, prepared.recipe.student.n_replicates
        mixed: JudgedBy = "both" if 0 < alpha < 1 else "labels"
        looks["student"] = (steps, losses[:, :n], "teacher" if alpha == 1 else mixed)
        looks["control"] = (steps, losses[:, n : 2 * n], "labels")
    for role, (_, losses, _) in looks.items():
        _warn_of_divergence(role, losses)
    traced = {role: trace_curve(*of_role) for role, of_role in looks.items()}
    return {role: curve for role, curve in traced.items() if curve is not None}


def _warn_of_divergence(role: str, losses: Float64) -> None:
    """Warn of networks that never had a finite loss: they are as they began.

    **Shape** losses `[looks, M]`.
    """
    n_lost = int((~np.isfinite(losses).any(axis=0)).sum())
    if n_lost:
        section = "teacher" if role == "teacher" else "student"
        warnings.warn(
            f"{n_lost} of {losses.shape[1]} networks of the {role} diverged before the first look "
            "at the validation rows and are as they began, untrained: lower "
            f"{section}.learning_rate",
            KdexportWarning,
            stacklevel=3,
        )


def describe_teacher(teacher: Trained | OwnTeacher) -> dict[str, Any]:
    """Return how the teacher was trained, or which ones the user passed."""
    if isinstance(teacher, OwnTeacher):
        facts: dict[str, Any] = {
            "teachers": [one.name for one in teacher.teachers],
            "weights": teacher.weights,
            "out_of_fold": teacher.own_outputs is not None,
        }
        if teacher.temperature != 1.0:
            facts["teacher_temperature"] = teacher.temperature
        return facts
    settings = {f"teacher_{name}": value for name, value in teacher.settings.items()}
    return {"teacher_steps": teacher.n_steps, **settings}


def describe_task(prepared: Prepared) -> TaskFact:
    """Return kind, rows, target and classes."""
    signature = prepared.schema.signature
    kinds: dict[int, TaskKind] = {0: "regression", 2: "binary"}
    return TaskFact(
        kind=kinds.get(len(signature.classes), "multiclass"),
        source=prepared.source,
        rows={
            name: PartFact(
                rows=rows.n_rows,
                ids_sha256=hashlib.sha256(np.sort(rows.row_ids).tobytes()).hexdigest(),
            )
            for name, rows in prepared.rows.items()
        },
        n_features=len(signature.columns),
        target=signature.target,
        classes=signature.classes,
        data_sha256=prepared.data_sha256,
    )


def count_copies(prepared: Prepared) -> int:
    """Return how many test rows have the inputs of a row that was learned from, and warn of many.

    A network or a tree that remembers such a row answers its copy too well.
    """
    rows = prepared.rows
    n_copies = rows.test.inputs.count_in(rows.train.inputs, rows.validation.inputs)
    if n_copies > MANY_COPIES * rows.test.n_rows:
        warnings.warn(
            f"{n_copies:,} of the {rows.test.n_rows:,} test rows have the inputs of rows that were "
            "learned from: scores on them say little of rows that are new. Drop copies before the "
            "rows are split, or pass test rows of your own with --test",
            KdexportWarning,
            stacklevel=3,
        )
    return n_copies


def describe_unlabeled(prepared: Prepared) -> UnlabeledFact | None:
    """Return where rows without labels came from, if there were any."""
    rows = prepared.unlabeled
    if rows is None:
        return None
    return UnlabeledFact(
        source=rows.source,
        rows=rows.inputs.n_rows,
        rows_in_test=rows.n_in_test,
        sha256=rows.sha256,
    )


def describe_environment(n_threads: int, torch_version: str) -> dict[str, str]:
    """Return versions, and the threads that trained."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "torch": torch_version,
        "numpy": np.__version__,
        "training_threads": str(n_threads),
        **describe_runtime(),
    }
