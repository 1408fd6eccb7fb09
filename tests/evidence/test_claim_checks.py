"""Rules for a bundle's folder and its evidence."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kdexport.bundle import load_bundle, read_bundle
from kdexport.errors import DataError
from kdexport.evidence.checks import check_bundle, read_budgets
from kdexport.evidence.claim_checks import check_claims, check_golden_quality
from kdexport.evidence.claims import SEALED, SEALED_IF_THERE, make_headline, score_golden
from kdexport.evidence.facts import Evidence, parse_evidence
from kdexport.evidence.golden import unpack_golden
from kdexport.evidence.user_rows import UserRows
from kdexport.report.terminal import render_evidence
from tests.evidence.records import add_plain_control, add_rival, make_interval

Edit = Callable[[dict[str, Any]], object]


@pytest.fixture
def copy(bundle_path: Path, tmp_path: Path) -> Path:
    """A bundle that may be damaged."""
    return Path(shutil.copytree(bundle_path, tmp_path / "copy"))


def failures(path: Path) -> dict[str, str]:
    """The rules that a bundle breaks, and what is said of each."""
    results = check_claims(read_bundle(path))
    return {r.name.removeprefix("bundle/"): r.message for r in results if not r.passed}


def edit_evidence(path: Path, edit: Edit) -> None:
    """Change evidence.json in place."""
    evidence = json.loads((path / "evidence.json").read_text())
    edit(evidence)
    (path / "evidence.json").write_text(json.dumps(evidence))


def test_clean_bundle_passes(bundle_path: Path) -> None:
    """A bundle as it was written breaks no rule."""
    assert failures(bundle_path) == {}


@pytest.mark.parametrize(
    ("edit", "rule", "said"),
    [
        (lambda e: e["quality"]["shipped"]["log_loss"].update(value=0.1), "seal", "sha256"),
        (lambda e: e["quality"]["shipped"]["ece"].update(value=0.0), "seal", "sha256"),
        (lambda e: e["quality"]["student"]["accuracy"].update(low=0.99), "seal", "accuracy"),
        (lambda e: e["task"]["rows"]["test"].update(rows=10**6), "seal", "sha256"),
        (lambda e: e["recovered"]["accuracy"].update(verdict="RECOVERED"), "seal", "verdict"),
        (lambda e: e["edge"]["brier"].update(value=1.0), "edge", "the edge in brier"),
        (lambda e: e["replicates"]["control"].update(brier=[]), "edge", "replicates' mean nan"),
        (lambda e: e["recovered"]["brier"].update(value=1.0), "edge", "recovered brier"),
        (lambda e: e["gained"]["brier"].update(value=1.0), "edge", "the gain in brier"),
        (lambda e: e["gained"]["brier"].update(low=-9.0), "seal", "sha256"),
        (lambda e: e["calibration"]["student"][0].update(rows=9999), "learning", "of the student"),
        (lambda e: e["calibration"]["teacher"][0].update(share=0.0), "seal", "sha256"),
        (lambda e: e["curves"]["control"]["steps"].reverse(), "learning", "do not grow"),
        (lambda e: e["curves"]["teacher"]["low"].__setitem__(0, 0.0), "seal", "sha256"),
        (lambda e: e.update(shipped_replicate=1 - e["shipped_replicate"]), "edge", "of replicate"),
        (lambda e: e["latency"]["rows"][0]["p50_us"].update(value=0.1), "latency", "p50 of stud"),
        (lambda e: e["parity"]["student.onnx"].update(passed=False), "parity", "student.onnx"),
        (lambda e: e["parity"].pop("teacher.onnx"), "parity", "teacher.onnx was not compared"),
        (lambda e: e["recipe"].update(seed=7), "recipe", "'seed'"),
        (lambda e: e["signature"].update(numeric=["b", "a", "c", "d"]), "schema", "numeric"),
        (lambda e: e["files"]["student.onnx"].update(bytes=10), "sizes", "bytes"),
        (lambda e: e["files"]["teacher.onnx"].update(parameters=10), "sizes", "teacher.onnx"),
        (lambda e: e["files"]["recipe.toml"].update(sha256="0"), "hashes", "recipe.toml"),
    ],
)
def test_edited_evidence(
    edit: Edit, rule: str, said: str, copy: Path, recwarn: pytest.WarningsRecorder
) -> None:
    """A figure that was edited breaks the rule that it was held by, and nothing else is said."""
    edit_evidence(copy, edit)
    assert said in failures(copy)[rule]
    assert not recwarn.list


def test_edited_budgets(copy: Path) -> None:
    """Budgets that cannot be read are named."""
    edit_evidence(copy, lambda e: e["recipe"].update(budgets={"max_bytes": "ten"}))
    with pytest.raises(DataError, match="however: max_bytes: Input should be a valid integer"):
        read_budgets(read_bundle(copy))


def find_wrong_edges(path: Path, edit: Callable[[Evidence], Evidence]) -> str:
    """What is said of the edges of evidence with a rival and a second control, once edited."""
    bundle = read_bundle(path)
    edited = edit(add_plain_control(add_rival(bundle.evidence)))
    results = check_claims(replace(bundle, evidence=edited))
    return next(r.message for r in results if r.name == "bundle/edge")


def edit_rival(**changes: Any) -> Callable[[Evidence], Evidence]:
    """Change the rival's facts."""
    return lambda e: e.model_copy(update={"rival": e.rival.model_copy(update=changes)})


def test_rival_and_second_control(bundle_path: Path) -> None:
    """Leads and the verdict on the rival follow from the qualities; the better control counts."""
    assert "however" not in find_wrong_edges(bundle_path, lambda e: e)
    said = find_wrong_edges(bundle_path, edit_rival(verdict="SHIP_THE_STUDENT"))
    assert "the verdict on the rival is SHIP_THE_RIVAL, not SHIP_THE_STUDENT" in said
    lead = {"accuracy": make_interval(0.5, 0.7)}
    assert "the student's lead in accuracy" in find_wrong_edges(bundle_path, edit_rival(lead=lead))

    def improve_plain(evidence: Evidence) -> Evidence:
        plain = {**evidence.quality["control"], "accuracy": make_interval(0.9999, 1.0)}
        return evidence.model_copy(update={"quality": {**evidence.quality, "plain_control": plain}})

    said = find_wrong_edges(bundle_path, improve_plain)
    assert "the better control in accuracy is plain_control, not control" in said


def test_optional_figures_are_sealed(bundle_path: Path) -> None:
    """What a bundle need not have is sealed where it has it: taking it out breaks the seal."""
    evidence = read_bundle(bundle_path).evidence
    assert evidence.slices is not None
    names = SEALED + SEALED_IF_THERE
    claims = {name: getattr(evidence, name) for name in names}
    seal = make_headline(claims)["sha256"]
    assert make_headline({**claims, "slices": None})["sha256"] != seal
    assert make_headline({**claims, "rival": None, "controls": {}})["sha256"] == seal


def test_evidence_from_before(bundle_path: Path) -> None:
    """Evidence that has none of what came later is read, and its seal is that of what it has."""
    written = json.loads((bundle_path / "evidence.json").read_text())
    older = {name: value for name, value in written.items() if name not in SEALED_IF_THERE}
    evidence = parse_evidence(json.dumps(older).encode(), "evidence.json")
    assert (evidence.gained, evidence.calibration, evidence.curves) == ({}, {}, {})
    claims = {name: getattr(evidence, name) for name in SEALED}
    later = {name: getattr(evidence, name) for name in SEALED_IF_THERE}
    assert make_headline({**claims, **later}) == make_headline(claims)
    results = check_claims(replace(read_bundle(bundle_path), evidence=evidence))
    assert [r.name for r in results if not r.passed] == ["bundle/seal"]  # the files have all of it


def test_bundle_that_ships() -> None:
    """models/clicks passes: it was made by an earlier version, or by this one."""
    path = Path(__file__).parents[2] / "models" / "clicks"
    assert failures(path) == {}


def test_absent_file(copy: Path) -> None:
    """A file that the evidence names and the folder lacks is named."""
    (copy / "teacher.onnx").unlink()
    assert "teacher.onnx is absent" in failures(copy)["hashes"]


def test_absent_golden_file(copy: Path) -> None:
    """Whichever golden file is absent, the check of golden rows names it: no answer is compared."""
    names = [name for name in read_bundle(copy).evidence.files if name.startswith("golden/")]
    kept = {name: (copy / name).read_bytes() for name in names}
    optional = "golden/source/student.logits.pb"  # that other kinds of sources do not have
    for lost in ([names[0]], [names[-1]], [optional], names):
        for name in lost:
            (copy / name).unlink()
        said = {result.name: result for result in check_bundle(read_bundle(copy))}
        assert not said["bundle/golden"].passed
        assert "absent" in said["bundle/golden"].message
        assert all(name in said["bundle/golden"].message for name in lost)
        assert "student.onnx/source" not in said
        for name in lost:
            (copy / name).write_bytes(kept[name])


@pytest.mark.parametrize("kind", ["synthetic", "none"])
def test_whose_golden_rows_are(copy: Path, kind: str) -> None:
    """Rows of the user's data are not said to be drawn ones, or none: the recipe says which."""
    edit_evidence(copy, lambda evidence: evidence["golden"].update(kind=kind))
    bundle = read_bundle(copy)
    golden = unpack_golden(bundle.files)
    rows = UserRows(golden.inputs, golden.origins, None, "rows")
    (found,) = (r for r in check_bundle(bundle, rows=rows) if r.name == "bundle/golden")
    assert not found.passed
    assert f"said to be {kind}, the recipe asks for real" in found.message


def test_strangers_and_links(copy: Path) -> None:
    """Files and folders that the evidence does not name are refused, and so is a link."""
    (copy / "student.onnx.data").write_bytes(b"weights")
    assert "student.onnx.data" in failures(copy)["folder"]
    (copy / "student.onnx.data").unlink()
    (copy / "golden/more/inner").mkdir(parents=True)
    assert "golden/more/inner is not in the evidence" in failures(copy)["folder"]
    shutil.rmtree(copy / "golden/more")
    (copy / "recipe.toml").rename(copy.parent / "recipe.toml")
    (copy / "recipe.toml").symlink_to(copy.parent / "recipe.toml")
    assert "recipe.toml is a link" in failures(copy)["folder"]


def test_reports_may_come_later(copy: Path) -> None:
    """A report made anew beside the evidence is no stranger."""
    (copy / "report.html").write_text("<html></html>")
    assert failures(copy) == {}


def test_golden_score(bundle_path: Path) -> None:
    """The score on golden rows is recomputed; other answers, or another figure, fail."""
    bundle = load_bundle(bundle_path)
    golden = unpack_golden(bundle.files)
    source = golden.answers["student"].rounded
    assert check_golden_quality(bundle, golden, source).passed
    assert score_golden(golden) == bundle.evidence.golden.quality
    spoilt = source.take(np.arange(source.n_rows))
    spoilt.probabilities[:] = spoilt.probabilities[:, ::-1].copy()
    result = check_golden_quality(bundle, golden, spoilt)
    assert not result.passed
    assert "log_loss" in result.message


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda e: e["quality"].pop("student"), "of 'student'"),
        (lambda e: e["quality"].pop("shipped"), "of 'shipped'"),
        (lambda e: e["quality"]["control"].pop("accuracy"), "'control' has no 'accuracy'"),
        (lambda e: e["edge"].pop("log_loss"), "edge has no 'log_loss'"),
        (lambda e: e["recovered"].clear(), "no metric"),
        (lambda e: e["replicates"].pop("student"), "replicates of 'student' has no 'accuracy'"),
        (lambda e: e["files"].pop("student.onnx"), "files has no 'student.onnx'"),
        (lambda e: e["files"]["student.onnx"].update(bytes=0), "'student.onnx' without bytes"),
        (lambda e: e["files"]["teacher.onnx"].update(bytes=10**400), "files.teacher.onnx.bytes"),
        (lambda e: e["task"]["rows"]["test"].update(rows=0), "no row tested"),
        (lambda e: e["fidelity"].update(agreement=float("inf")), "finite"),
        (lambda e: e["curves"]["teacher"]["mean"].pop(), "one loss for each step"),
        (lambda e: e["curves"]["teacher"].update(steps=[], mean=[], low=[], high=[]), "a step"),
        (lambda e: e["calibration"].update(student=[]), "calibration.student: .* at least 1 item"),
        (lambda e: e["latency"]["ratios"][0]["ratio"].update(low=0.0), "ratio of times is more"),
        (lambda e: e["slices"]["worst"].clear(), "slices.worst has no metric"),
        (lambda e: e["slices"]["n_worse"].clear(), "n_worse has no 'accuracy'"),
        (lambda e: e["slices"]["worst"].update(luck=[]), "n_worse has no 'luck'"),
        (lambda e: e["task"]["rows"].pop("test"), "no row tested"),
        (lambda e: e["quality"]["student"]["accuracy"].update(low=float("nan")), "finite"),
        (lambda e: e.update(shipped_replicate=9), "shipped_replicate is 9, of 2"),
        (lambda e: e["replicates"]["student"].update(accuracy=[]), "shipped_replicate is ., of 0"),
    ],
)
def test_evidence_without_what_it_speaks_of(bundle_path: Path, edit: Edit, said: str) -> None:
    """A figure that rests on one that is not there is said in one line."""
    evidence = json.loads((bundle_path / "evidence.json").read_text())
    edit(evidence)
    with pytest.raises(DataError, match=said):
        parse_evidence(json.dumps(evidence).encode(), "evidence.json")


@pytest.mark.parametrize(
    "edit",
    [
        lambda fact: fact.update(flips=50),
        lambda fact: fact.update(failed_rows=1),
        lambda fact: fact.update(max_probability_difference=0.4),
    ],
)
def test_parity_that_its_own_figures_deny(copy: Path, edit: Edit) -> None:
    """Parity did not pass because the evidence says so: its figures have to."""
    edit_evidence(copy, lambda evidence: edit(evidence["parity"]["student.onnx"]))
    assert "student.onnx is said to have passed" in failures(copy)["parity"]


def test_unknown_metric(copy: Path) -> None:
    """A metric that nobody knows is named, beside whatever else is wrong; the report has it."""

    def rename(evidence: dict[str, Any]) -> None:
        evidence["replicates"]["student"]["log_loss"][0] += 1
        for part in ("edge", "recovered", "gained"):
            evidence[part]["luck"] = evidence[part].pop("accuracy")
        for role in evidence["quality"].values():
            role["luck"] = role["accuracy"]

    edit_evidence(copy, rename)
    said = failures(copy)["edge"]
    assert "no metric is called 'luck'" in said
    assert "student log_loss is" in said
    assert "log loss" in str(render_evidence(read_bundle(copy).evidence).renderables)


def test_lead_in_what_was_not_scored(bundle_path: Path) -> None:
    """A lead rests on the quality of both sides, in a metric that there is."""
    evidence = add_rival(read_bundle(bundle_path).evidence)
    written = json.loads(evidence.model_dump_json())
    written["rival"]["lead"]["luck"] = written["rival"]["lead"]["accuracy"]
    with pytest.raises(DataError, match="quality of 'student' has no 'luck'"):
        parse_evidence(json.dumps(written).encode(), "evidence.json")
    for role in ("student", "rival"):
        written["quality"][role]["luck"] = written["quality"][role]["accuracy"]
    edited = parse_evidence(json.dumps(written).encode(), "evidence.json")
    said = find_wrong_edges(bundle_path, lambda _: edited)
    assert "no lead is in 'luck'" in said
