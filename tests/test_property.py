"""Made-up tables: whatever columns and labels they have, source and file agree on raw rows.

`make test` tries a few; `make test-thorough` tries hundreds.
"""

import datetime
import os
import tempfile
import warnings
from pathlib import Path
from typing import Any, get_args

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kdexport import as_table, open_session, predict, read_recipe
from kdexport.assemble import assemble_bundle
from kdexport.bundle import STUDENT
from kdexport.evidence.stress import make_stress_inputs
from kdexport.prepare import prepare
from kdexport.records import ignore_progress
from kdexport.sources import Sources
from kdexport.student_section import Form
from kdexport.training.steps import train_rival_of, train_students_of, train_teacher

N_EXAMPLES = int(os.environ.get("KDEXPORT_EXAMPLES", "7"))
RECIPE = {
    "data.target": "y",
    "threads": 1,
    "teacher.n_members": 2,
    "teacher.hidden": [4],
    "teacher.max_epochs": 2,
    "teacher.n_folds": 2,
    "student.hidden": [3],
    "student.n_replicates": 2,
    "student.max_epochs": 2,
    "student.plain_control": "none",
    "transfer.n_synthetic": 40,
    "evidence.n_draws": 100,
    "bench.batches": [1],
    "bench.seconds": 0.01,
}
CELLS = {
    "integer": st.integers(-(2**40), 2**40),
    "small integer": st.integers(0, 3),
    "number": st.floats(-1e6, 1e6, allow_nan=False),
    "tiny number": st.floats(-1e-12, 1e-12, allow_nan=False),
    "flag": st.booleans(),
    "date": st.datetimes(datetime.datetime(1900, 1, 1), datetime.datetime(2100, 1, 1)),
    "text": st.sampled_from(["a", "B", "é", "NA", "null", "0", "00", " ", 'x "y"', "a,b"]),
    "word": st.text(min_size=1, max_size=3),
}
LABELS = [
    [0, 1],
    [-5, 3, 2**40],
    [False, True],
    ["no", "yes"],
    ["", "None", "nan"][1:],
    ["é", "z", "a", 'q"'],
    None,
]
NAMES = st.text(min_size=1, max_size=8).filter(lambda name: name != "y")


@st.composite
def make_tables(draw: st.DrawFn) -> dict[str, Any]:
    """A table of 30 to 80 rows, up to five columns of any kind, and a target of any kind."""
    n_rows = draw(st.integers(30, 80))
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    table: dict[str, Any] = {}
    for name in draw(st.lists(NAMES, min_size=1, max_size=5, unique=True)):
        kind = draw(st.sampled_from(sorted(CELLS)))
        pool = draw(st.lists(CELLS[kind], min_size=1, max_size=8))
        picked = [pool[i] for i in rng.integers(len(pool), size=n_rows)]
        missing = draw(st.sampled_from([0.0, 0.0, 0.2]))
        cells = [None if rng.random() < missing else cell for cell in picked]
        table[name] = cells
    labels = draw(st.sampled_from(LABELS))
    table["y"] = (
        rng.normal(size=n_rows).tolist()
        if labels is None
        else [labels[i % len(labels)] for i in rng.permutation(n_rows)]
    )
    table["a number"] = rng.normal(size=n_rows).tolist()  # so that something is left to learn from
    return table


@settings(
    max_examples=N_EXAMPLES,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(make_tables(), st.sampled_from(["auto", *get_args(Form)]))
def test_source_and_file_agree(columns: dict[str, Any], form: str) -> None:
    """The student's file answers raw rows, altered ones too, as the student in Python does."""
    import polars as pl

    frame = pl.DataFrame(columns, strict=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        prepared = prepare(read_recipe(None, {**RECIPE, "student.form": form}), data=frame)
    teacher = train_teacher(prepared, ignore_progress)
    students = train_students_of(prepared, teacher, ignore_progress)
    rival = train_rival_of(prepared)
    evidence, files = assemble_bundle(prepared, teacher, students, rival, ignore_progress)
    assert all(fact.passed for fact in evidence.parity.values())

    sources = Sources(prepared, teacher, students, rival)
    session = open_session(files[STUDENT])
    inputs = session.signature.take_inputs(as_table(frame))
    asked = inputs.joined_with(make_stress_inputs(inputs, max_rows=20))
    source, file = sources.ask_students(asked)["student"][sources.shipped], session.answer(asked)
    if session.signature.is_regression:
        scale = np.maximum(1.0, np.abs(source.predictions))
        assert (np.abs(source.predictions - file.predictions) <= 1e-5 * scale).all()
    else:
        np.testing.assert_allclose(file.probabilities, source.probabilities, rtol=0, atol=1e-6)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        frame.write_parquet(path)
        from kdexport import read_table

        for name, values in predict(session, read_table(path)).items():
            np.testing.assert_array_equal(values, predict(session, as_table(frame))[name])
