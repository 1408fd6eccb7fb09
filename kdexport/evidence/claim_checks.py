"""Is the evidence what was measured, and does the bundle hold what the evidence says?

Takes a bundle as it was read, gives one `CheckResult` per rule. Runs no model but through answers
that it is given.
"""

import json
import tomllib
from collections.abc import Callable

import numpy as np

from kdexport.bundle import (
    EVIDENCE,
    RECIPE,
    REPORTS,
    SIGNATURE,
    STUDENT,
    Bundle,
    find_strangers,
    hash_bytes,
)
from kdexport.contract import parse_model, read_metadata
from kdexport.errors import KdexportError, one_line
from kdexport.evidence.calibration import find_wrong_bins
from kdexport.evidence.claims import (
    SEALED,
    SEALED_IF_THERE,
    describe_file,
    make_headline,
    score_golden,
)
from kdexport.evidence.curves import find_wrong_curves
from kdexport.evidence.edge import choose_control, decide_verdict
from kdexport.evidence.file_checks import listed_plainly
from kdexport.evidence.golden import Golden
from kdexport.evidence.latency_claims import find_wrong_times
from kdexport.evidence.metrics import METRICS, improvement
from kdexport.evidence.parity import MOST_ROUNDING, NUMBER_ROUNDING, find_tolerance
from kdexport.evidence.rival import decide_rival
from kdexport.evidence.search_claims import find_wrong_search
from kdexport.records import Answers, CheckResult
from kdexport.signature import Signature

RELATIVE = 1e-5
LOSSES = {"log_loss", "rmse"}  # in which no two replicates are alike
Rule = Callable[[Bundle], tuple[list[str], str]]


def check_claims(bundle: Bundle) -> list[CheckResult]:
    """Check a bundle's folder and its evidence by every rule."""
    results = []
    for title, (sentence, rule) in RULES.items():
        problems, fine = rule(bundle)
        message = f"{sentence}, however: {listed_plainly(problems)}" if problems else fine
        results.append(CheckResult(f"bundle/{title}", not problems, one_line(message)))
    return results


def check_golden_quality(bundle: Bundle, golden: Golden, answers: Answers) -> CheckResult:
    """Score the student on the golden rows again; the evidence has what its source scored."""
    stated = bundle.evidence.golden.quality
    found = score_golden(golden, answers)
    problems = []
    targets = golden.targets[golden.labelled]
    is_number = targets.dtype.kind == "f"
    rounding = NUMBER_ROUNDING * float(np.abs(targets).max(initial=0.0)) if is_number else 0.0
    for name in sorted({*stated, *found}):
        theirs, ours = stated.get(name, np.nan), found.get(name, np.nan)
        if not abs(theirs - ours) <= RELATIVE * max(1.0, abs(theirs)) + rounding:
            problems.append(f"{name} is {ours:.6g}, the evidence says {theirs:.6g}")
    said = ", ".join(f"{name} {value:.4g}" for name, value in found.items())
    message = f"the scores on golden rows are the evidence's, however: {listed_plainly(problems)}"
    fine = (
        f"{len(golden.labelled)} golden rows with a target: {said}"
        if found
        else ("no golden row has a target, and the evidence claims no score on them")
    )
    return CheckResult("bundle/golden_quality", not problems, message if problems else fine)


def _find_changed_files(bundle: Bundle) -> tuple[list[str], str]:
    problems = []
    for name, fact in bundle.evidence.files.items():
        if name not in bundle.files:
            problems.append(f"{name} is absent")
        elif (found := hash_bytes(bundle.files[name])) != fact.sha256:
            problems.append(
                f"{name} has sha256 {found[:12]}..., the evidence {fact.sha256[:12]}..."
            )
    return problems, f"{len(bundle.files)} files, their hashes those of the evidence"


def _find_strangers(bundle: Bundle) -> tuple[list[str], str]:
    folder, known = bundle.path, {*bundle.evidence.files, EVIDENCE, *REPORTS, SIGNATURE}
    try:
        strangers = find_strangers(folder, known)
    except OSError as error:
        return [f"{error.filename} cannot be read: {error.strerror}"], ""
    links = [name for name in sorted({*known, *strangers}) if (folder / name).is_symlink()]
    problems = [f"{name} is a link" for name in links]
    problems += [f"{name} is not in the evidence" for name in strangers]
    return problems, "no links, and no file that the evidence does not name"


def _find_wrong_sizes(bundle: Bundle) -> tuple[list[str], str]:
    problems = []
    for name, fact in bundle.evidence.files.items():
        if name not in bundle.files:
            continue  # the hashes say so
        found = describe_file(bundle.files[name], is_model=name.endswith(".onnx"))
        for field in ("bytes", "parameters", "opset", "ir_version"):
            ours, theirs = getattr(found, field), getattr(fact, field)
            if ours != theirs:
                problems.append(f"{name} has {field} {ours}, the evidence says {theirs}")
    return problems, "bytes, parameters, opsets and IR are those of the evidence"


def _find_other_columns(bundle: Bundle) -> tuple[list[str], str]:
    """Every model file takes and answers what the evidence says: one can replace the other."""
    stated, problems = bundle.evidence.signature.model_dump(), []
    for name in _models(bundle):
        try:
            found = Signature.from_metadata(_metadata(bundle, name)).model_dump()
        except KdexportError as error:
            problems.append(f"{name}: {error}")
            continue
        for field, value in stated.items():
            if found[field] != value:
                problems.append(f"{name} has {field} {found[field]!r}, the evidence {value!r}")
    task, signature = bundle.evidence.task, bundle.evidence.signature
    if (task.target, task.classes) != (signature.target, signature.classes):
        problems.append(f"the evidence's task predicts {task.target!r} as {task.classes!r}")
    return problems, "every model file has the columns and classes of the evidence"


def _find_broken_seals(bundle: Bundle) -> tuple[list[str], str]:
    evidence = bundle.evidence
    wanted = make_headline({name: getattr(evidence, name) for name in SEALED + SEALED_IF_THERE})
    problems = []
    for name in _models(bundle):
        text = _metadata(bundle, name).get("kdexport.evidence", "")
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            found = {}
        found = found if isinstance(found, dict) else {}
        differing = [key for key in wanted if found.get(key) != wanted[key]]
        if differing:
            key = differing[0]
            problems.append(
                f"{name} says {key} {found.get(key)!r}, the evidence gives {wanted[key]!r}"
            )
    return problems, "the figures are those sealed into every model file"


def _find_wrong_edges(bundle: Bundle) -> tuple[list[str], str]:
    """Edge, share and verdict follow from the qualities, those from the replicates."""
    evidence, problems = bundle.evidence, []
    for role, by_metric in evidence.replicates.items():
        for metric, values in by_metric.items():
            stated = evidence.quality[role][metric].value
            mean = float(np.mean(values or [np.nan]))
            if not _same(mean, stated):
                problems.append(f"{role} {metric} is {stated:.6g}, its replicates' mean {mean:.6g}")
    unknown = evidence.recovered.keys() - METRICS.keys()
    problems += [f"no metric is called {metric!r}" for metric in sorted(unknown)]
    for metric, recovered in evidence.recovered.items():
        if metric in unknown:
            continue
        value = {
            role: facts[metric].value for role, facts in evidence.quality.items() if metric in facts
        }
        teacher, student = (np.asarray(value[role]) for role in ("teacher", "student"))
        counting = evidence.controls.get(metric, "control")
        better = choose_control(METRICS[metric], value)
        if counting != better:
            problems.append(f"the better control in {metric} is {better}, not {counting}")
        control = np.asarray(value[counting])
        edge = float(improvement(METRICS[metric], teacher, control))
        gained = float(improvement(METRICS[metric], student, control))
        stated_edge = evidence.edge[metric]
        if not _same(edge, stated_edge.value):
            problems.append(f"the edge in {metric} is {edge:.6g}, not {stated_edge.value:.6g}")
        stated_gain = evidence.gained.get(metric)
        if stated_gain is not None and not _same(gained, stated_gain.value):
            problems.append(f"the gain in {metric} is {gained:.6g}, not {stated_gain.value:.6g}")
        if edge and not _same(gained / edge, recovered.value):
            problems.append(f"recovered {metric} is {gained / edge:.6g}, not {recovered.value:.6g}")
        verdict = decide_verdict(stated_edge, recovered, recovered.asked_share)
        if verdict != recovered.verdict:
            problems.append(f"the verdict on {metric} is {verdict}, not {recovered.verdict}")
    problems += [*_find_other_replicate(bundle), *_find_wrong_leads(bundle)]
    return problems, "edges, shares and verdicts follow from the qualities"


def _find_other_replicate(bundle: Bundle) -> list[str]:
    """The file scores as the replicate that it is said to be; in int8 it is none of them."""
    evidence, shipped = bundle.evidence, bundle.evidence.shipped_replicate
    quality, scores = evidence.quality["shipped"], evidence.replicates["student"]
    problems = []
    for metric in LOSSES & quality.keys() & scores.keys():
        stated = quality[metric].value
        apart = np.abs(np.array(scores[metric]) - stated)
        if evidence.quantized is None and apart[shipped] > apart.min() + RELATIVE * abs(stated):
            own = f"of replicate {shipped} {scores[metric][shipped]:.6g}"
            problems.append(f"the {metric} of student.onnx is {stated:.6g}, {own}")
    return problems


def _find_wrong_leads(bundle: Bundle) -> list[str]:
    evidence, problems = bundle.evidence, []
    if evidence.rival is None:
        return []
    unknown = evidence.rival.lead.keys() - METRICS.keys()
    problems += [f"no lead is in {metric!r}, which is no metric" for metric in sorted(unknown)]
    for metric, stated in evidence.rival.lead.items():
        if metric in unknown:
            continue
        student, rival = (
            np.asarray(evidence.quality[role][metric].value) for role in ("student", "rival")
        )
        lead = float(improvement(METRICS[metric], student, rival))
        if not _same(lead, stated.value):
            problems.append(f"the student's lead in {metric} is {lead:.6g}, not {stated.value:.6g}")
    verdict = decide_rival(evidence.rival.lead)
    if verdict != evidence.rival.verdict:
        problems.append(f"the verdict on the rival is {verdict}, not {evidence.rival.verdict}")
    return problems


def _find_wrong_training(bundle: Bundle) -> tuple[list[str], str]:
    evidence = bundle.evidence
    problems = [*find_wrong_bins(evidence), *find_wrong_curves(evidence)]
    said = ", ".join([*evidence.calibration, *(f"{role}'s curve" for role in evidence.curves)])
    return problems, f"they fit the other figures: {said}" if said else "the evidence has none"


def _find_wrong_search(bundle: Bundle) -> tuple[list[str], str]:
    search = bundle.evidence.search
    fine = "the student's shape was given"
    if search is not None:
        fine = f"{len(search.candidates)} students, of whom its rule chooses {search.chosen}"
    return find_wrong_search(bundle.evidence), fine


def _find_wrong_latency(bundle: Bundle) -> tuple[list[str], str]:
    record = bundle.evidence.latency
    fine = f"{len(record.rows)} rows and {len(record.ratios)} ratios follow from the calls that "
    return find_wrong_times(record), f"{fine}are kept; how long those took, no check can prove"


def _find_failed_parity(bundle: Bundle) -> tuple[list[str], str]:
    facts = bundle.evidence.parity
    problems = [f"{name} failed at export" for name, fact in facts.items() if not fact.passed]
    problems += [f"{name} was compared on no row" for name, fact in facts.items() if fact.rows < 1]
    for name, fact in facts.items():
        # In int8, rows with an absurd cell may differ by anything: only the file can be asked.
        is_coarse = find_tolerance(bundle.evidence, name).is_coarse
        differs = not is_coarse and (fact.max_probability_difference or 0.0) > MOST_ROUNDING
        if fact.passed and (fact.flips or fact.failed_rows or differs):
            problems.append(f"{name} is said to have passed where its figures did not")
    problems += [f"{name} was not compared" for name in _models(bundle) if name not in facts]
    return problems, f"passed at export on {facts[STUDENT].rows:,} rows" if STUDENT in facts else ""


def _find_other_recipe(bundle: Bundle) -> tuple[list[str], str]:
    try:
        written = tomllib.loads(bundle.files.get(RECIPE, b"").decode())
    except (ValueError, RecursionError) as error:
        return [f"{RECIPE} cannot be read: {error}"], ""
    stated = bundle.evidence.recipe
    differing = sorted(
        key
        for key in {*written, *stated}
        if (written.get(key) or None) != (stated.get(key) or None)
    )
    problems = [f"they differ in {key!r}" for key in differing]
    return problems, f"{RECIPE} is the recipe of the evidence"


def _same(first: float, second: float) -> bool:
    return abs(first - second) <= RELATIVE * max(abs(first), abs(second), 1e-12)


def _models(bundle: Bundle) -> list[str]:
    return [name for name in bundle.evidence.files if name.endswith(".onnx")]


def _metadata(bundle: Bundle, name: str) -> dict[str, str]:
    """A file's metadata; none where it is absent or broken, which other checks say."""
    try:
        model = parse_model(bundle.files.get(name, b""), name)
    except KdexportError:
        return {}
    return read_metadata(model)


RULES: dict[str, tuple[str, Rule]] = {
    "hashes": ("files are those that the evidence was measured on", _find_changed_files),
    "folder": ("a bundle holds its own files and no others", _find_strangers),
    "sizes": ("the evidence states what the files are", _find_wrong_sizes),
    "schema": ("every model file has the columns and classes of the evidence", _find_other_columns),
    "seal": ("figures are those sealed into the model files", _find_broken_seals),
    "edge": ("edges follow from the qualities", _find_wrong_edges),
    "learning": ("calibration and curves fit the other figures", _find_wrong_training),
    "search": ("a search leads to the student in the bundle", _find_wrong_search),
    "latency": ("times follow from the calls that are kept", _find_wrong_latency),
    "parity": ("every model file was found to answer as its source", _find_failed_parity),
    "recipe": ("recipe.toml is the recipe of the evidence", _find_other_recipe),
}
