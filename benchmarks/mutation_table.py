"""Every damage under the check that has to catch it, with a word that its message has to hold."""

import numpy as np
from onnx.helper import make_node

from benchmarks.damage import Damage, on_constant, on_model, on_tensor, put, scale, set_field, shift
from benchmarks.mutations import (
    add_noise,
    bloat,
    center_by_batch,
    drop_column,
    drop_golden,
    drop_in_training,
    drop_label,
    edit_recipe,
    edit_vocabulary,
    fix_axis,
    fix_categories,
    flip_byte,
    halve_precision,
    impute_more,
    insert_behind,
    keep_missing,
    lose,
    move_codes,
    move_outside,
    on_json,
    opset,
    pad,
    remove_softmax,
    rename_input,
    replace_op,
    restate,
    set_axis,
    set_metadata,
    ship_teacher,
    swap_columns,
    swap_outputs,
    train_batch_norm,
    truncate,
    widen_probabilities,
)
from kdexport.bundle import STUDENT, TEACHER

FILE = f"{STUDENT}/"
GOLDEN_OUTPUT = "golden/test_data_set_0/output_1.pb"
GOLDEN_LOGITS = "golden/source/student.logits.pb"
BIN = {"rows": 1, "share": 1.0, "accuracy": {"value": 1.0, "low": 1.0, "high": 1.0}}
Named = dict[str, dict[str, tuple[Damage, str]]]
"""Check to name to damage and word."""

MODEL_MUTATIONS: Named = {
    FILE + "source": {
        "a weight 1 % larger": (on_constant("Gemm", 1, scale((0, 0), 1.01)), ""),
        "two outputs swapped": (on_model(swap_outputs), "flips"),
        "outputs half as large": (on_constant("Gemm", 1, scale(..., 0.5), -1), "logits"),
        "all logits moved alike": (on_constant("Gemm", 2, shift(..., 5), -1), "logits of"),
        "weights of half precision": (on_model(halve_precision), ""),
        "a column's scale doubled": (on_constant("Gemm", 1, scale(1, 2)), ""),
        "an activation changed": (replace_op("Relu", "Tanh"), ""),
        "the student is the teacher": (ship_teacher, ""),
        "an imputation constant altered": (on_model(impute_more), "=nan"),
        "a bound halved": (on_constant("Clip", 2, scale((), 0.5), -1), ""),
        "a golden answer edited": (on_tensor(GOLDEN_OUTPUT, shift((5, 0), 0.01)), "row 5 "),
        "a golden logit edited": (on_tensor(GOLDEN_LOGITS, shift((5, 0), 0.01)), "row 5 "),
    },
    f"{TEACHER}/source": {
        "a teacher's weight 1 % larger": (
            on_constant("Gemm", 1, scale((0, 0), 1.01), name=TEACHER),
            "",
        ),
    },
    FILE + "finite": {
        "a NaN weight": (on_constant("Gemm", 1, put((0, 0), np.nan)), "nan"),
        "an infinite bias": (on_constant("Gemm", 2, put(0, np.inf), -1), ""),
        "missing cells not replaced": (on_model(keep_missing), "=nan"),
    },
    FILE + "label": {
        "the label map rotated": (on_constant("Gather", 0, lambda v: np.roll(v, 1), -1), "largest"),
        "the least probable label": (replace_op("ArgMax", "ArgMin"), "largest"),
    },
    FILE + "probabilities": {
        "logits for probabilities": (on_model(remove_softmax), "sum to 1"),
    },
    FILE + "batch_1": {
        "softmax over the batch": (set_axis("Softmax", 0), "batches of 1"),
        "centred by the batch's mean": (center_by_batch, "batches of 1"),
    },
    FILE + "repeat": {"noise added": (add_noise, "two runs")},
    FILE + "inference_only": {
        "batch normalisation that trains": (on_model(train_batch_norm), "BatchNormalization"),
        "dropout that trains": (drop_in_training, "Dropout"),
        "dropout left over": (
            insert_behind("logits", make_node("Dropout", ["before"], ["logits"])),
            "Dropout",
        ),
        "randomness left over": (add_noise, "RandomNormalLike"),
    },
    FILE + "batch_axis": {
        "a fixed batch of inputs": (fix_axis("input"), "1 rows"),
        "a fixed batch of outputs": (fix_axis("output"), "1 rows"),
    },
    FILE + "versions": {
        "a later opset": (opset(21), "21"),
        "a foreign domain": (opset(1, "com.example"), "com.example"),
        "a later IR": (on_model(lambda m: setattr(m, "ir_version", 11)), "11"),
    },
    FILE + "signature": {
        "an input renamed": (on_model(rename_input), "'x'"),
        "an output missing": (on_model(drop_label), "'label'"),
        "an output of another type": (on_model(widen_probabilities), "double"),
        "a column left out of the schema": (
            set_metadata("kdexport.schema", on_json(drop_column)),
            "schema",
        ),
        "no schema": (set_metadata("kdexport.schema", lambda _: "{}"), "Error"),
    },
    FILE + "onnx": {"an operator that is none": (replace_op("Relu", "Relv"), "Relv")},
    FILE + "self_contained": {"weights in another file": (move_outside, "student.onnx.data")},
    FILE + "parse": {
        "half a file": (truncate, STUDENT),
        "an empty file": (lambda draft: draft.files.update({STUDENT: b""}), STUDENT),
    },
    FILE + "tidy": {
        "a doc string": (on_model(lambda m: setattr(m.graph.node[0], "doc_string", "x")), "doc"),
        "metadata of a node": (
            on_model(lambda m: m.graph.node[0].metadata_props.add(key="a", value="b")),
            "metadata",
        ),
        "a machine's path": (
            on_model(lambda m: setattr(m.graph.node[0], "name", "/home/a/net.py")),
            "/home/",
        ),
    },
    FILE + "overhead": {
        "a weight that nothing reads": (on_model(bloat), "spare"),
        "padding": (pad, "bytes beside"),
    },
}
BUNDLE_MUTATIONS: Named = {
    "bundle/hashes": {
        "a stale hash": (flip_byte, STUDENT),
        "a file lost": (lose(TEACHER), "teacher.onnx is absent"),
    },
    "bundle/golden": {
        "a golden file lost": (lose(GOLDEN_LOGITS), "golden"),
        "all golden rows lost": (drop_golden, "golden"),
    },
    "bundle/folder": {
        "a stranger in the folder": (lambda draft: draft.extra.update({"x.bin": b"x"}), "x.bin"),
        "a link for a file": (lambda draft: draft.links.append(STUDENT), STUDENT),
    },
    "bundle/sizes": {
        "fewer bytes claimed": (restate("bytes", 1000), "bytes"),
        "fewer parameters claimed": (restate("parameters", 10), "parameters"),
    },
    "bundle/schema": {
        "two columns swapped in the schema": (
            set_metadata("kdexport.schema", on_json(swap_columns)),
            "numeric",
        ),
        "classes in another order": (
            set_metadata("kdexport.classes", on_json(lambda v: v[::-1])),
            "classes",
        ),
    },
    "bundle/seal": {
        "a higher accuracy claimed": (
            set_field("quality", "student", "accuracy", "value", value=0.999),
            "evidence",
        ),
        "more test rows claimed": (
            set_field("task", "rows", "test", "rows", value=10**6),
            "evidence",
        ),
        "a headline edited in the file": (
            set_metadata("kdexport.evidence", on_json(lambda v: v.update(recovered=[1, 1, 1]))),
            "recovered",
        ),
    },
    "bundle/edge": {
        "a lower log loss claimed": (
            set_field("quality", "student", "log_loss", "value", value=0.01),
            "log_loss",
        ),
        "another verdict claimed": (
            set_field("recovered", "brier", "verdict", value="RECOVERED"),
            "verdict",
        ),
    },
    "bundle/learning": {
        "a calibration claimed": (
            set_field("calibration", "student", value=[{**BIN, "confidence": 1.0}]),
            "bins",
        ),
        "a shorter curve claimed": (set_field("curves", "control", "steps", value=[1]), "curve"),
    },
    "bundle/golden_quality": {
        "a score on golden rows claimed": (
            set_field("golden", "quality", "accuracy", value=1.0),
            "accuracy",
        ),
    },
    "bundle/parity": {
        "failed parity shipped": (set_field("parity", STUDENT, "passed", value=False), STUDENT),
    },
    "bundle/recipe": {"the recipe edited": (edit_recipe, "seed")},
}
NUMERIC_MUTATIONS: Named = {
    FILE + "source": {"a folded mean shifted": (on_constant("Gemm", 2, shift(0, 0.1)), "")},
}
MIXED_MUTATIONS: Named = {
    FILE + "source": {
        "a scaler mean shifted": (on_constant("Sub", 1, shift(0, 1)), ""),
        "an indicator of another column": (on_constant("Gather", 1, put(0, 1)), "=nan"),
        "a category code moved": (on_model(move_codes), ""),
        "a category misspelt": (on_model(edit_vocabulary), ""),
        "a category's weights altered": (on_constant("Gather", 0, shift(3, 0.1), 2), ""),
    },
    FILE + "signature": {"an input missing": (on_model(fix_categories), "categorical")},
}
