"""A bundle's files beside the trained networks themselves, on every test row.

Takes a bundle and the work folder that it was exported from. Needs torch: everything else of a
check does not.
"""

from pathlib import Path

import numpy as np

from kdexport.assemble import MAX_STRESSED
from kdexport.bundle import Bundle
from kdexport.errors import DataError, KdexportError, one_line
from kdexport.evidence.answer_checks import judge_answers
from kdexport.evidence.parity import find_tolerance
from kdexport.evidence.question import Question
from kdexport.evidence.stress import make_stress_inputs
from kdexport.records import CheckResult
from kdexport.sources import load_sources
from kdexport.workspace import load_prepared


def check_against_source(bundle: Bundle, work: Path) -> list[CheckResult]:
    """Compare every model file with its checkpoint, on the test rows and on altered ones.

    Raises:
        DataError: The folder holds no checkpoints, or those of another bundle.
    """
    prepared = load_prepared(work)
    stated = bundle.evidence.task.data_sha256
    if prepared.data_sha256 != stated:
        raise DataError(
            "a bundle is compared with the work folder that it was exported from",
            found=f"{work} was trained on data {prepared.data_sha256[:12]}..., "
            f"the bundle on {stated[:12]}...",
            cure="pass its own work folder",
        )
    sources = load_sources(prepared, work)
    test = prepared.rows.test
    inputs = test.inputs.joined_with(make_stress_inputs(test.inputs, max_rows=MAX_STRESSED))
    origins = [f"test row {i}" for i in range(test.n_rows)]
    origins += [f"altered row {i}" for i in range(inputs.n_rows - test.n_rows)]
    results = []
    for name, source in sources.ask_files(inputs).items():
        try:
            tolerance = find_tolerance(bundle.evidence, name)
            question = Question(name, bundle.files[name], inputs, np.array(origins, object))
            rule = "the file answers as its checkpoint does"
            passed, message = judge_answers(question, source, question.answers, rule, tolerance)
        except (KeyError, KdexportError) as error:
            passed, message = False, f"{name} cannot be asked: {error}"
        results.append(CheckResult(f"{name}/from_source", passed, one_line(message)))
    return results
