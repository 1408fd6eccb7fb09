"""Other ends of the student's graph: what would a call take, and what would it answer?

The shipped head is a product, softmax and label, three nodes. Beside it, in one interleaved run:
softmax and label as one LinearClassifier of unit weights; the last product in it too; the sigmoid
of the difference of the two logits in place of the softmax. Each has its time over the shipped
one's, and how far its probabilities are from softmax in float64, as a ratio on the golden rows.

Usage: python -m benchmarks.heads
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from benchmarks.record import write_result
from kdexport.bundle import STUDENT, load_bundle
from kdexport.contract import LABEL, LOGITS, ML_DOMAIN, PROBABILITIES, expose_logits, parse_model
from kdexport.evidence.golden import unpack_golden
from kdexport.evidence.latency import measure_latency
from kdexport.runtime import open_session

CLICKS = load_bundle(Path(__file__).parent.parent / "models" / "clicks")
SHIPPED = "product, softmax, label (shipped)"
BATCHES, SECONDS = (1, 1024), 40.0


def main() -> None:
    content = CLICKS.files[STUDENT]
    files = {
        SHIPPED: content,
        "softmax and label in one": replace_head(content, 2, unit_classifier),
        "all three in one": replace_head(content, 3, last_layer_classifier),
        "sigmoid for softmax": replace_head(content, 1, sigmoid_of_difference),
    }
    inputs = unpack_golden(CLICKS.files).inputs
    sessions = {name: open_session(file) for name, file in files.items()}
    record = measure_latency(sessions, inputs.feeds(), batches=BATCHES, seconds=SECONDS)
    logits = open_session(expose_logits(content)).answer(inputs).logits
    if logits is None:
        raise ValueError("the student has no logits")
    rows: list[dict[str, Any]] = []
    for name, session in sessions.items():
        answers = session.answer(inputs).probabilities
        rows.append({"head": name, **describe_times(record, name), **compare(answers, logits)})
    write_result("heads", "python -m benchmarks.heads", rows, [], cpu=record.machine.cpu)
    print(json.dumps(rows, indent=1))


def describe_times(record: Any, name: str) -> dict[str, Any]:
    """Return p50 over the floor, and the time over the shipped head's, by batch."""
    over = {
        str(batch): record.find_row(name, batch=batch).over_floor_us.model_dump()
        for batch in BATCHES
    }
    ratios = {
        str(fact.batch): {**fact.ratio.model_dump(), "verdict": fact.verdict}
        for fact in record.ratios
        if (fact.name, fact.path) == (name, "run")
    }
    return {"over_floor_us": over, "times_shipped": ratios}


def compare(probabilities: Any, logits: Any) -> dict[str, float]:
    """Return how far probabilities are from the softmax of the logits in float64."""
    exact = np.exp(logits - logits.max(axis=1, keepdims=True).astype(np.float64))
    exact /= exact.sum(axis=1, keepdims=True)
    is_known = exact > np.finfo(np.float32).tiny
    apart = np.abs(probabilities[is_known] / exact[is_known] - 1)
    return {
        "largest_difference": float(np.abs(probabilities - exact).max()),
        "largest_relative_difference": float(apart.max()),
        "zeros": int((probabilities[is_known] == 0).sum()),
    }


def replace_head(content: bytes, n_nodes: int, make: Any) -> bytes:
    """Put other nodes in the place of the graph's last ones."""
    model = parse_model(content)
    ends = {"Gemm": [], "ArgMax": [], "Softmax": []}  # type: dict[str, list[onnx.NodeProto]]
    for node in model.graph.node:
        if {LOGITS, LABEL, PROBABILITIES} & {*node.output}:
            ends[node.op_type].append(node)
    (last,), (label,), (softmax,) = ends["Gemm"], ends["ArgMax"], ends["Softmax"]
    for node in [softmax, label, last][:n_nodes]:
        model.graph.node.remove(node)
    model.graph.node.extend(make(model.graph, last))
    return model.SerializeToString()


def unit_classifier(_: onnx.GraphProto, __: onnx.NodeProto) -> list[onnx.NodeProto]:
    """Softmax and label of logits, by a product that changes nothing."""
    return [_make_classifier(LOGITS, np.eye(2), np.zeros(2))]


def last_layer_classifier(graph: onnx.GraphProto, last: onnx.NodeProto) -> list[onnx.NodeProto]:
    """The last layer, softmax and label."""
    held = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    weights, bias = (held[name] for name in last.input[1:])
    is_transposed = any(a.name == "transB" and a.i for a in last.attribute)
    return [_make_classifier(last.input[0], weights if is_transposed else weights.T, bias)]


def _make_classifier(source: str, weights: Any, bias: Any) -> onnx.NodeProto:
    return helper.make_node(
        "LinearClassifier",
        [source],
        [LABEL, PROBABILITIES],
        domain=ML_DOMAIN,
        classlabels_ints=[0, 1],
        coefficients=weights.ravel().tolist(),
        intercepts=bias.tolist(),
        multi_class=0,
        post_transform="SOFTMAX",
    )


def sigmoid_of_difference(graph: onnx.GraphProto, _: onnx.NodeProto) -> list[onnx.NodeProto]:
    """Each class's logit less the other's, and the sigmoid of that."""
    matrix = np.array([[1, -1], [-1, 1]], np.float32)
    graph.initializer.append(numpy_helper.from_array(matrix, "difference"))
    return [
        helper.make_node("MatMul", [LOGITS, "difference"], ["odds"]),
        helper.make_node("Sigmoid", ["odds"], [PROBABILITIES]),
    ]


if __name__ == "__main__":
    main()
