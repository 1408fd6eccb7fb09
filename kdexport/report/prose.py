"""What a report says in sentences: how figures were measured, and where they end.

Takes evidence, gives sentences. Each is true of this evidence alone.
"""

from collections.abc import Iterator

from kdexport.bundle import STUDENT, TEACHER
from kdexport.evidence.facts import Evidence
from kdexport.evidence.latency_facts import NATIVE, PERCENTILES, name_percentile
from kdexport.report.figures import style_metric
from kdexport.report.grids import count_replicates

FEW_OF_A_CLASS = 10  # test rows: what fewer say of an AUC is rough
READINGS = {
    "student_piecewise": "Student and control read numbers piece by piece: a layer in front of "
    "their hidden ones that is not trained. Parameters and bytes count it.",
    "student_oblique": "Student and control read numbers piece by piece, and by units over all of "
    "them that are trained: a layer in front of their hidden ones. Parameters and bytes count it.",
}


def describe_task(evidence: Evidence) -> str:
    """Say what was learned from how many rows; the source's name is the caller's to add."""
    parts = ", ".join(f"{fact.rows:,} {name}" for name, fact in evidence.task.rows.items())
    n_classes = len(evidence.task.classes)
    goal = f"{n_classes} classes" if n_classes else "a number to predict"
    return f"{parts} rows; {evidence.task.n_features} features; {goal}"


def list_methods(evidence: Evidence) -> list[str]:
    """Say how each kind of figure was measured."""
    n = count_replicates(evidence, "student")
    draws = evidence.read_setting("evidence", "n_draws", 0)
    rate = evidence.read_setting("student", "control_rate", 1.0)
    slower = f", at {rate:.2g} of the learning rate" if rate != 1 else ""
    second = "; a plain one was trained as most people would" if evidence.controls else ""
    blocks = max((row.raw.blocks for row in evidence.latency.rows), default=0)
    readings = [text for key, text in READINGS.items() if evidence.training.get(key)]
    gained = (
        "Student minus control: resampled as the edge is, by draws of its own; the share's "
        "interval is made of both together."
    )
    curves = (
        "Training curves: at each look at the validation rows every network is judged at its best "
        "temperature of that look; it keeps the weights of its lowest loss."
    )
    return [
        "Test rows choose nothing: training rows fit; validation rows stop early, set the "
        "temperature and choose the student that ships.",
        "The control is the student's architecture, schedule and number of steps without the "
        f"teacher{slower}{second}. Student and control are means over {n} replicates each.",
        *readings,
        f"95 % intervals of quality, edge and recovered edge: {draws:,} draws of test "
        "rows, the replicates' mean moved by Student's t.",
        *([gained] if evidence.gained else []),
        "Verdicts: NO EDGE where the edge's lower end is not above 0; RECOVERED where the share's "
        "lower end reaches what was asked; NOT RECOVERED where its upper end does not; "
        "INCONCLUSIVE else.",
        _describe_parity_rows(evidence),
        f"Latency: {evidence.latency.seconds:g} s for everything, {blocks} blocks at most; in "
        "each, every candidate, the student a second time (A/A) and an empty graph are opened "
        "afresh and take turns in random order. No spinning.",
        "Sizes are bytes of the files that ship, and parameters, apart: smaller is not faster.",
        *([curves] if evidence.curves else []),
    ]


def _describe_parity_rows(evidence: Evidence) -> str:
    text = (
        "Parity: every test row and copies with a cell blank, unseen, infinite or huge, asked of "
        "the network and of the file."
    )
    if evidence.quantized is None:
        return text
    return (
        f"{text} In int8, {STUDENT} is asked beside the float32 file that it was made of; where a "
        "cell is infinite or huge, its answers have to be finite and alike in every batch."
    )


def list_limits(evidence: Evidence) -> list[str]:
    """Say what the figures do not tell."""
    machine = evidence.latency.machine
    fidelity = "RMSE" if evidence.signature.is_regression else "KL"
    return [
        f"Quality holds for rows like the {evidence.task.rows['test'].rows:,} test rows, from the "
        "same table; other days and other sources are not in it.",
        f"Latency holds for this machine ({machine.cpu}), onnxruntime "
        f"{machine.runtime.get('onnxruntime', '')} and the batches listed.",
        *[f"The latency run was disturbed: {note}." for note in evidence.latency.notes],
        *_limit_files(evidence),
        *_limit_training(evidence),
        *_limit_claims(evidence),
        f"Means without a spread in the evidence (fidelity's {fidelity}, CPU share) have no "
        "interval.",
    ]


def _limit_files(evidence: Evidence) -> Iterator[str]:
    """What is said of a teacher without a file, and of a student in int8."""
    if TEACHER not in evidence.files:
        why = evidence.absent.get(TEACHER)
        reason = f" ({why})" if why else ""
        is_timed = evidence.latency.find_row(NATIVE, path="call") is not None
        rest = "the teacher's own code is timed in its place, nothing is said of its size"
        yield (
            f"There is no {TEACHER}{reason}: "
            + (f"{rest}." if is_timed else "nothing is said of its size and speed.")
        )
    small = evidence.quantized
    if small is not None:
        flips = f"; {small.flips:,} test rows have another class than before"
        yield (
            f"The student's weights are int8, of a file of {small.source_bytes:,} bytes. Students "
            "and recovered edge stand at what that costs the one that ships, their intervals "
            "widened by its bounds; teacher, controls, rival and training are as they were "
            f"measured before. Parity allows {small.probability_tolerance:g} in a probability, "
            f"{small.relative_tolerance:.0%} of a logit or number"
            f"{'' if evidence.signature.is_regression else flips}."
        )


def _limit_training(evidence: Evidence) -> Iterator[str]:
    """What the students learned beside the training rows."""
    temperature = evidence.training.get("teacher_temperature")
    if isinstance(temperature, float) and "teachers" in evidence.training:
        yield (
            f"The students learned the teacher's probabilities at the temperature "
            f"{temperature:.3g}, fitted on validation rows; its scores, its file and the fidelity "
            "are of its answers as they are."
        )
    extra = evidence.unlabeled
    if extra is not None:
        shared = f", of which {extra.rows_in_test:,} have the inputs of test rows"
        yield (
            f"The students also learned from {extra.rows:,} rows without labels that the teacher "
            f"labelled{shared if extra.rows_in_test else ', none with the inputs of a test row'}."
        )
    if evidence.copied_test_rows:
        yield (
            f"Of the test rows, {evidence.copied_test_rows:,} have the inputs of a row that was "
            "learned from: scores on these say little of rows that are new."
        )


def _limit_claims(evidence: Evidence) -> Iterator[str]:
    """What is not claimed: percentiles of too few calls, edges, scores on golden rows."""
    row = evidence.latency.find_row(STUDENT)
    if row is not None and row.calls_needed:
        needed = ", ".join(
            f"{name_percentile(key)} {row.calls_needed[key]:,}"
            for key in PERCENTILES
            if key in row.calls_needed
        )
        yield f"Percentiles that the calls cannot bound are left out; they need: {needed}."
    weak = [
        style_metric(metric).title
        for metric, share in evidence.recovered.items()
        if share.verdict in ("NO_EDGE", "INCONCLUSIVE")
    ]
    if weak:
        yield f"No claim of a recovered edge is made for: {', '.join(weak)}."
    classes = evidence.slices.classes if evidence.slices else []
    rarest = min((fact.rows for fact in classes), default=FEW_OF_A_CLASS)
    if "auc" in evidence.recovered and rarest < FEW_OF_A_CLASS:
        yield (
            f"AUC compares rows of two classes, and one has {rarest} test rows: of fewer than "
            f"{FEW_OF_A_CLASS}, its intervals are rough."
        )
    golden = evidence.golden
    if golden.rows:
        yield (
            f"The {golden.rows:,} golden rows ({golden.kind}) lie at the edges on purpose: scores "
            "on them are no estimate of quality."
        )
