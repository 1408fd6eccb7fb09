"""From trained stacks to a bundle's files: export both, then measure what was exported.

Takes checkpoints, gives the evidence and every file as bytes. Quality, parity and latency are
measured on the ONNX files themselves, through onnxruntime.
"""

import hashlib
import json
import platform
from importlib.metadata import version

import numpy as np
import torch

from kdexport.bundle import EVIDENCE, RECIPE, STUDENT, TEACHER, hash_bytes, pack_golden
from kdexport.contract import (
    INPUT,
    count_parameters,
    expose_logits,
    parse_model,
    serialize_model,
    set_metadata,
)
from kdexport.errors import ParityError
from kdexport.evidence.edge import EdgeResult, measure_edge
from kdexport.evidence.facts import (
    Evidence,
    FileFact,
    Interval,
    ParityFact,
    PartFact,
    Quality,
    TaskFact,
)
from kdexport.evidence.latency import measure_latency
from kdexport.evidence.metrics import METRICS, measure_fidelity, score_rows
from kdexport.evidence.parity import compare_answers
from kdexport.export.graph import build_model
from kdexport.export.network import build_student, build_teacher, export_network
from kdexport.records import Answers, Float32, Float64, Progress, ProgressSink
from kdexport.runtime import describe_runtime, open_session
from kdexport.training.nets import (
    Standardizer,
    as_tensor,
    compute_mean_logits,
    compute_member_logits,
)
from kdexport.training.steps import load_ensemble, load_students, set_threads
from kdexport.workspace import Prepared, Trained

N_GOLDEN = 64
STEPS = ("export", "quality", "parity", "latency")


def assemble_bundle(
    prepared: Prepared, teacher: Trained, students: Trained, on_progress: ProgressSink
) -> tuple[Evidence, dict[str, bytes]]:
    """Export, measure, and return the evidence with every file of the bundle.

    Raises:
        ParityError: A file does not answer as its source does; nothing ships.
    """
    n_threads = set_threads(prepared.recipe.threads)
    sources = _Sources(prepared, teacher, students)
    _tell(on_progress, 0)
    files = _export(prepared, sources)
    _tell(on_progress, 1)
    teacher_file = open_session(files[TEACHER]).answer(prepared.rows.test.features)
    edge = _measure_quality(prepared, sources, teacher_file)
    files = {name: _stamp(content, prepared, edge) for name, content in files.items()}
    _tell(on_progress, 2)
    parity = _check_parity(files, sources)
    student_file = open_session(files[STUDENT]).answer(prepared.rows.test.features)
    edge.quality["shipped"] = _point_quality(student_file, prepared)
    golden = pack_golden(prepared.rows.test.features[:N_GOLDEN], _head(sources.student, N_GOLDEN))
    _tell(on_progress, 3)
    bench = prepared.recipe.bench
    latency = measure_latency(
        {name: open_session(content) for name, content in files.items()},
        {INPUT: prepared.rows.test.features},
        batches=bench.batches,
        threads=(bench.n_threads,),
        seconds=bench.seconds,
    )
    _tell(on_progress, 4)
    models = dict(files)
    files |= {**golden, RECIPE: prepared.recipe.to_toml().encode()}
    evidence = Evidence(
        kdexport_version=version("kdexport"),
        task=_describe_task(prepared),
        recipe=prepared.recipe.model_dump(mode="json", exclude_none=True),
        environment=_describe_environment(n_threads),
        files={
            name: _describe_file(content, is_model=name in models)
            for name, content in files.items()
        },
        shipped_replicate=sources.shipped,
        quality=edge.quality,
        replicates=sources.replicate_means,
        edge=edge.edge,
        recovered=edge.recovered,
        fidelity=measure_fidelity(student_file.probabilities, teacher_file.probabilities),
        parity=parity,
        latency=latency,
        training={"teacher_steps": teacher.n_steps, "student_steps": students.n_steps},
    )
    files[EVIDENCE] = evidence.model_dump_json(indent=1, exclude_none=False).encode()
    return evidence, files


class _Sources:
    """The trained networks' own answers on the test rows, in float32."""

    def __init__(self, prepared: Prepared, teacher: Trained, students: Trained) -> None:
        device = prepared.recipe.device
        self.standardizer = Standardizer.from_schema(prepared.schema).to(device)
        self.features = prepared.rows.test.features
        features = self.standardizer(as_tensor(self.features, device))
        self.ensemble = load_ensemble(prepared, teacher)
        self.stack = load_students(prepared, students)
        self.n_replicates = self.stack.n_members // 2
        self.shipped = int(np.argmin(students.best_losses[: self.n_replicates]))
        classes = prepared.schema.signature.label_values
        self.members = [
            _answers(logits.cpu().numpy(), classes)
            for logits in compute_member_logits(self.stack, features)
        ]
        self.teacher = _answers(compute_mean_logits(self.ensemble, features).cpu().numpy(), classes)
        self.student = self.members[self.shipped]
        self.replicate_means: dict[str, dict[str, list[float]]] = {}


def _answers(logits: Float32, classes: np.ndarray) -> Answers:
    probabilities = torch.softmax(torch.from_numpy(logits), dim=-1).numpy()
    return Answers(logits, probabilities, classes[probabilities.argmax(axis=1)])


def _head(answers: Answers, n_rows: int) -> Answers:
    return Answers(None, answers.probabilities[:n_rows], answers.labels[:n_rows])


def _export(prepared: Prepared, sources: _Sources) -> dict[str, bytes]:
    schema, standardizer = prepared.schema, sources.standardizer.cpu()
    networks = {
        STUDENT: build_student(sources.stack, sources.shipped, standardizer),
        TEACHER: build_teacher(sources.ensemble, standardizer),
    }
    files = {}
    for name, network in networks.items():
        exported = export_network(network, d_in=len(schema.signature.numeric))
        model = build_model(
            exported, schema.signature, center=schema.center, limit=standardizer.limit
        )
        files[name] = serialize_model(model)
    return files


def _measure_quality(prepared: Prepared, sources: _Sources, teacher_file: Answers) -> EdgeResult:
    labels = prepared.rows.test.labels
    n = sources.n_replicates
    groups = {
        "teacher": [teacher_file],
        "control": sources.members[n:],
        "student": sources.members[:n],
    }
    scores: dict[str, dict[str, Float64]] = {}
    for role, answers in groups.items():
        by_replicate = [score_rows(a.probabilities, labels) for a in answers]
        scores[role] = {m: np.stack([s[m] for s in by_replicate]) for m in METRICS}
        sources.replicate_means[role] = {
            m: s.mean(axis=1).tolist() for m, s in scores[role].items()
        }
    settings = prepared.recipe.evidence
    return measure_edge(
        scores,
        asked_share=settings.asked_share,
        n_draws=settings.n_draws,
        seed=prepared.recipe.seed,
    )


def _point_quality(answers: Answers, prepared: Prepared) -> Quality:
    """Quality of one file, with intervals over test rows (normal approximation of a mean)."""
    scores = score_rows(answers.probabilities, prepared.rows.test.labels)
    quality = {}
    for metric, by_row in scores.items():
        value = float(by_row.mean())
        margin = 1.96 * float(by_row.std(ddof=1)) / len(by_row) ** 0.5 if len(by_row) > 1 else 0.0
        quality[metric] = Interval(value=value, low=value - margin, high=value + margin)
    return quality


def _stamp(content: bytes, prepared: Prepared, edge: EdgeResult) -> bytes:
    """Write version, data, recipe and headline evidence into a file's metadata."""
    accuracy, recovered = edge.quality["student"]["accuracy"], edge.recovered["accuracy"]
    headline = {
        "accuracy": [round(v, 4) for v in (accuracy.value, accuracy.low, accuracy.high)],
        "recovered": [round(v, 3) for v in (recovered.value, recovered.low, recovered.high)],
        "verdict": recovered.verdict,
    }
    model = parse_model(content)
    entries = {
        "version": version("kdexport"),
        "data_sha256": prepared.data_sha256,
        "recipe": json.dumps(prepared.recipe.changes(), separators=(",", ":")),
        "evidence": json.dumps(headline, separators=(",", ":")),
    }
    set_metadata(model, {f"kdexport.{key}": value for key, value in entries.items()})
    return serialize_model(model)


def _check_parity(files: dict[str, bytes], sources: _Sources) -> dict[str, ParityFact]:
    parity = {}
    for name, source in ((STUDENT, sources.student), (TEACHER, sources.teacher)):
        file = open_session(expose_logits(files[name])).answer(sources.features)
        fact = compare_answers(source, file)
        if not fact.passed:
            raise ParityError(
                f"{name} answers as the trained network does",
                found=f"probabilities differ by up to {fact.max_probability_difference:.2g}, "
                f"logits by {fact.max_logit_difference:.2g}, {fact.flips} flips; "
                f"test row {fact.worst_row} is the worst",
                cure="please report this with the recipe: nothing was written",
            )
        parity[name] = fact
    return parity


def _describe_task(prepared: Prepared) -> TaskFact:
    signature = prepared.schema.signature
    return TaskFact(
        kind="binary" if len(signature.classes) == 2 else "multiclass",
        source=prepared.source,
        rows={
            name: PartFact(
                rows=rows.n_rows,
                ids_sha256=hashlib.sha256(np.sort(rows.row_ids).tobytes()).hexdigest(),
            )
            for name, rows in prepared.rows.items()
        },
        n_features=len(signature.numeric),
        target=signature.target,
        classes=signature.classes,
        data_sha256=prepared.data_sha256,
    )


def _describe_file(content: bytes, *, is_model: bool) -> FileFact:
    if not is_model:
        return FileFact(sha256=hash_bytes(content), bytes=len(content))
    model = parse_model(content)
    return FileFact(
        sha256=hash_bytes(content),
        bytes=len(content),
        parameters=count_parameters(model),
        opset=model.opset_import[0].version,
        ir_version=model.ir_version,
    )


def _describe_environment(n_threads: int) -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "torch": torch.__version__,
        "numpy": np.__version__,
        "training_threads": str(n_threads),
        **describe_runtime(),
    }


def _tell(on_progress: ProgressSink, n_done: int) -> None:
    on_progress(Progress("export and measure", n_done, len(STEPS)))
