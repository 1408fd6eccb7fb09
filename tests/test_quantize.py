"""`kdexport quantize`: a bundle in int8 that passes its own check, or nothing at all."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kdexport.bundle import EVIDENCE, RECIPE, STUDENT, load_bundle
from kdexport.deploy.model import Form, prepare_model, read_outputs
from kdexport.disk import claim
from kdexport.errors import OutputError, ParityError
from kdexport.evidence.checks import check_bundle
from kdexport.evidence.cost import lower_claims
from kdexport.evidence.facts import parse_evidence
from kdexport.evidence.parity import compare_answers
from kdexport.evidence.shape import Interval
from kdexport.int8_candidates import find_precision, make_int8_file, outputs_of
from kdexport.pipeline import run
from kdexport.prepare import prepare
from kdexport.quantize import Pair, quantize_bundle, refuse_loss
from kdexport.recipe import read_recipe
from kdexport.records import Answers, Inputs, Rows
from kdexport.report.prose import list_limits
from kdexport.runtime import open_session
from kdexport.schema import Schema
from kdexport.signature import Signature
from tests.commands import kdexport
from tests.conftest import QUICK
from tests.test_docs import read_blocks

WIDE = {
    **QUICK,
    "data.target": "y",
    "teacher.family": "mlp",
    "teacher.regularisation": "given",
    "transfer.selection": "given",
    "student.hidden": [64, 32],
    "student.form": "plain",
}


@pytest.fixture(scope="module")
def wide_path(csv_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose student is worth quantizing."""
    output = tmp_path_factory.mktemp("wide") / "x"
    run(read_recipe(None, {**WIDE, "data.file": csv_path.name}), output, data=csv_path)
    return output


@pytest.fixture(scope="module")
def small_path(wide_path: Path, csv_path: Path) -> Path:
    """The same in int8."""
    output = wide_path.with_name("x-int8")
    quantize_bundle(wide_path, output, data=csv_path, max_loss=1.0)
    return output


def test_the_bundle_passes_its_check(small_path: Path) -> None:
    """Files, answers, claims: by the same rules, with the tolerance that its evidence declares."""
    failed = [result for result in check_bundle(load_bundle(small_path)) if not result.passed]
    assert not failed


def test_its_evidence_is_of_its_own_file(small_path: Path, wide_path: Path) -> None:
    """Bytes, loss, edge and times are those of int8; the other bundle is as it was."""
    old, new = (load_bundle(path).evidence for path in (wide_path, small_path))
    fact = new.quantized
    assert fact is not None
    assert old.quantized is None
    assert fact.source_sha256 == old.files[STUDENT].sha256
    assert new.files[STUDENT].bytes < 0.5 * old.files[STUDENT].bytes
    assert new.latency.rows[0].raw != old.latency.rows[0].raw
    for metric, loss in fact.loss.items():
        assert loss.low <= loss.value <= loss.high
        shares = [evidence.recovered[metric] for evidence in (old, new)]
        widths = [share.high - share.low for share in shares]
        assert widths[1] >= widths[0] - 1e-12


def test_a_wrong_answer_still_fails_the_check(small_path: Path, tmp_path: Path) -> None:
    """The declared tolerance is wide, not blind: golden rows answered otherwise are found."""
    bundle = load_bundle(small_path)
    other = dict(bundle.files)
    path = "golden/test_data_set_0/input_0.pb"
    changed = bytearray(other[path])
    changed[-400:] = changed[-800:-400]
    other[path] = bytes(changed)
    results = check_bundle(type(bundle)(bundle.path, bundle.evidence, other))
    assert any(not result.passed for result in results if result.name.startswith(STUDENT))


def test_broken_cells_are_answered(small_path: Path) -> None:
    """Missing and infinite cells give finite answers, as in float32."""
    rows = np.zeros((3, 4), np.float32)
    rows[range(3), range(3)] = [np.nan, np.inf, -np.inf]
    answers = open_session(small_path / STUDENT).answer(Inputs(rows, np.empty((3, 0), object)))
    assert np.isfinite(answers.probabilities).all()


def test_a_pack_states_its_tolerance(
    small_path: Path, wide_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A packed file in int8 answers its golden rows within what pack.json and the README say."""
    for bundle, tolerance in ((small_path, 0.1), (wide_path, 1e-6)):
        folder = tmp_path / bundle.name
        assert kdexport(monkeypatch, "pack", bundle, "--onnx", folder) == 0
        stated = json.loads((folder / "pack.json").read_text())["golden"]
        assert stated["probability_tolerance"] == tolerance
        readme = (folder / "README.md").read_text()
        assert f"probabilities within {tolerance:g}" in readme
        assert ("the label" in readme) == (bundle == small_path)
    packable = prepare_model(load_bundle(small_path), STUDENT, Form(), name="x", passed_check=True)
    answers = read_outputs(open_session(packable.content).run(packable.feeds), packable.texts)
    source = replace(packable.answers, logits=None)
    assert compare_answers(source, answers, packable.tolerance).passed
    assert not compare_answers(source, answers).passed


Refuse = Callable[..., tuple[int, str]]


@pytest.fixture
def refuse(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Refuse:
    """Run the command with arguments; return its exit code and what it said."""

    def run_command(*arguments: object) -> tuple[int, str]:
        code = kdexport(monkeypatch, "quantize", *arguments)
        return code, capsys.readouterr().err

    return run_command


def test_other_rows_and_none_are_refused(
    wide_path: Path, csv_path: Path, tmp_path: Path, refuse: Refuse
) -> None:
    """No figure is made up: the rows are asked for, and have to be the bundle's own."""
    output = tmp_path / "small"
    code, said = refuse(wide_path, "--int8", "-o", output)
    assert code == 3
    assert "pass --data table.csv" in said
    other = tmp_path / "table.csv"
    other.write_text("".join(csv_path.read_text().splitlines(keepends=True)[:-5]))
    code, said = refuse(wide_path, "--int8", "-o", output, "--data", other)
    assert code == 3
    assert "the rows are those that the bundle was made from" in said
    assert not output.exists()


def test_a_false_claim_is_not_sealed_anew(
    wide_path: Path, csv_path: Path, tmp_path: Path, refuse: Refuse
) -> None:
    """Figures that are not measured again come from the other bundle, so they have to be its own:
    changed, or of a metric that there is not, they are refused before any work.
    """
    for place, name in (("control", "log_loss"), ("shipped", "luck")):
        forged, output = tmp_path / name, tmp_path / f"{name}-int8"
        shutil.copytree(wide_path, forged)
        evidence = json.loads((forged / EVIDENCE).read_text())
        evidence["quality"][place][name] = {"value": 9.0, "low": 8.0, "high": 10.0}
        (forged / EVIDENCE).write_text(json.dumps(evidence))
        code, said = refuse(forged, "--int8", "--data", csv_path, "-o", output)
        assert code == 3
        assert "a bundle whose claims hold is quantized, however: bundle/seal fails" in said
        assert not output.exists()


def test_a_metric_that_evidence_does_not_state(wide_path: Path) -> None:
    """Evidence of an earlier version knew fewer metrics: the others are lowered all the same."""
    evidence = load_bundle(wide_path).evidence
    loss = {name: Interval(value=0.1, low=0.0, high=0.2) for name in evidence.recovered}
    content = json.loads(evidence.to_json())
    for facts in (content["edge"], content["recovered"], content["gained"], content["controls"]):
        facts.pop("brier", None)
    for role in ("quality", "replicates"):
        for facts in content[role].values():
            facts.pop("brier", None)
    known, all_of_it = (
        lower_claims(one, loss)
        for one in (parse_evidence(json.dumps(content).encode(), EVIDENCE), evidence)
    )
    assert known["quality"]["student"].keys() == evidence.recovered.keys() - {"brier"}
    for name, value in known["quality"]["student"].items():
        assert value == all_of_it["quality"]["student"][name]
        assert value != evidence.quality["student"][name]
    assert "brier" not in known["replicates"]["student"]


def test_what_loses_too_much_is_dropped(
    wide_path: Path,
    csv_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    refuse: Refuse,
) -> None:
    """Nothing is written, and the good file is never replaced, not even with --force."""
    before = (wide_path / STUDENT).read_bytes()
    monkeypatch.setattr("kdexport.quantize.MIN_AGREEMENT", 1.01)
    output = tmp_path / "small"
    arguments = (wide_path, "--int8", "--data", csv_path)
    code, said = refuse(*arguments, "-o", output)
    assert code == 1
    assert "ship the float32 file" in said
    assert not output.exists()
    code, said = refuse(*arguments, "-o", wide_path, "--force")
    assert code == 3
    assert "what is read is not written over" in said
    assert (wide_path / STUDENT).read_bytes() == before


def test_a_tiny_student_stays_float32(
    bundle_path: Path, csv_path: Path, tmp_path: Path, refuse: Refuse
) -> None:
    """Where there is next to nothing to save, no second file is made."""
    output = tmp_path / "small"
    arguments = (bundle_path, "--int8", "--data", csv_path, "-o", output)
    code, said = refuse(*arguments)
    assert code == 3
    assert "ship the file as it is" in said
    assert not output.exists()


def test_the_report_says_so(small_path: Path) -> None:
    """Whoever reads the page learns that weights were rounded, and what was not asked again."""
    limits = list_limits(load_bundle(small_path).evidence)
    assert any("weights are int8" in sentence for sentence in limits)


def test_the_document_runs(
    wide_path: Path,
    csv_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The commands of docs/quantize.md, and TMPDIR points nowhere (case F)."""
    shutil.copytree(wide_path, tmp_path / "models/x")
    shutil.copy(csv_path, tmp_path / "data.csv")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "absent"))
    monkeypatch.setattr("tempfile.tempdir", None)
    ((_, code),) = read_blocks("quantize.md")
    for line in code.splitlines():
        assert kdexport(monkeypatch, *line.split()[1:]) == 0, line
    assert "do not quantize for speed; do for flash" in capsys.readouterr().err


def test_a_candidate_of_a_search(
    wide_path: Path, csv_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search's network in int8 is one where it is smaller, and loses no more than it may."""
    source = load_bundle(wide_path).files[STUDENT]
    prepared = prepare(read_recipe(wide_path / RECIPE, {}), data=csv_path)
    monkeypatch.setattr("kdexport.int8_candidates.MAX_LOSS", 1.0)
    file = make_int8_file(source, prepared)
    assert file is not None
    assert file.before == source
    assert len(file.after) < 0.8 * len(source)
    assert [find_precision(content) for content in (source, file.after)] == ["float32", "int8"]
    assert make_int8_file(file.after, prepared) is None  # it is in int8 already
    monkeypatch.setattr("kdexport.int8_candidates.MAX_LOSS", -1.0)  # it has to gain
    assert make_int8_file(source, prepared) is None


def test_numbers_are_judged_in_the_networks_unit() -> None:
    """A regression's answers, in the target's unit, are standardised; logits stay as they are."""
    signature = Signature(numeric=("a",), target="y")
    schema = Schema(
        signature=signature, center=(0.0,), scale=(1.0,), target_center=5.0, target_scale=2.0
    )
    numbers = Answers(np.array([5.0, 9.0], np.float32), np.empty((2, 0), np.float32))
    assert outputs_of(numbers, schema).tolist() == [[[0.0], [2.0]]]
    logits = np.array([[1.0, 3.0]], np.float32)
    answers = Answers(np.array(["b"]), np.array([[0.1, 0.9]], np.float32), logits)
    assert outputs_of(answers, schema).tolist() == [logits.tolist()]


def test_an_output_is_held_before_anything_is_read(tmp_path: Path) -> None:
    """While another process writes the output, quantize refuses before its work, not after it."""
    with claim(tmp_path / "x"), pytest.raises(OutputError, match="one process at a time"):
        quantize_bundle(tmp_path / "absent", tmp_path / "x")


def test_agreement_counts_weights() -> None:
    """A validation row that hardly counts may change its class; one that counts may not."""
    labels, inputs = np.array([0, 1]), Inputs(np.zeros((2, 1), np.float32), np.empty((2, 0)))
    before, after = (
        Answers(np.array(classes), np.array(probabilities, np.float32))
        for classes, probabilities in (
            ([0, 1], [[0.9, 0.1], [0.49, 0.51]]),
            ([0, 0], [[0.9, 0.1], [0.51, 0.49]]),
        )
    )
    light, heavy = (
        Pair(Rows(inputs, labels, np.array(weights), labels), before, after)
        for weights in ([1.99, 0.01], [0.01, 1.99])
    )
    refuse_loss(light, 0.1)
    with pytest.raises(ParityError, match="of the classes"):
        refuse_loss(heavy, 0.1)
