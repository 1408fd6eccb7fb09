"""What one would ship instead of the student, as candidates of a latency run.

Boosted trees of 100 rounds on the rows that the bundle learned from, natively and through ONNX,
and the student's own layers in torch. How well they answer does not matter here, only that they
are of the size that one would ship. A library that is not installed is said to be absent.
"""

import importlib.util
import shutil
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import torch
from sklearn.ensemble import HistGradientBoostingClassifier
from torch import nn

from kdexport.contract import NUMERIC
from kdexport.evidence.blocks import Timed
from kdexport.records import Column, Float32
from kdexport.runtime import Feeds, open_session
from kdexport.training.tasks import make_clicks

N_ROUNDS = 100


def make_rivals(student: bytes) -> tuple[dict[str, Timed], list[str]]:
    """Train and open every rival whose library is installed.

    Args:
        student: The student's file, for its layers.

    Returns:
        Candidates by name, and the names of those that are absent.
    """
    task = make_clicks()
    labels = task.learn.columns[task.target]
    features = np.stack(list(task.learn.without(task.target).columns.values()), axis=1)
    makers: dict[str, tuple[tuple[str, ...], Callable[[], Timed]]] = {
        "lightgbm, onnx": (
            ("lightgbm", "onnxmltools", "skl2onnx"),
            lambda: open_session(convert_lightgbm(features.astype(np.float32), labels)),
        ),
        "lightgbm": (("lightgbm",), lambda: train_lightgbm(features, labels)),
        "xgboost": (("xgboost",), lambda: train_xgboost(features, labels)),
        "scikit-learn": ((), lambda: train_histogram_boosting(features, labels)),
        "torch eager": ((), lambda: answer_in_torch(build_network(student))),
        "torch.compile": ((), lambda: answer_in_torch(torch.compile(build_network(student)))),
    }
    absent = [
        name
        for name, (packages, _) in makers.items()
        if any(importlib.util.find_spec(package) is None for package in packages)
    ]
    if shutil.which("g++") is None:
        absent.append("torch.compile")  # it needs a compiler
    return {name: make() for name, (_, make) in makers.items() if name not in absent}, absent


def train_lightgbm(features: Column, labels: Column) -> Timed:
    import lightgbm

    settings = {"objective": "binary", "verbose": -1, "num_threads": 1}
    booster = lightgbm.train(settings, lightgbm.Dataset(features, labels), N_ROUNDS)
    return lambda feeds: booster.predict(feeds[NUMERIC], num_threads=1)


def convert_lightgbm(features: Float32, labels: Column) -> bytes:
    import lightgbm
    from onnxmltools import convert_lightgbm as convert
    from onnxmltools.convert.common.data_types import FloatTensorType

    model = lightgbm.LGBMClassifier(n_estimators=N_ROUNDS, verbose=-1, n_jobs=1)
    model.fit(features, labels)
    types = [(NUMERIC, FloatTensorType([None, features.shape[1]]))]
    converted = convert(model, initial_types=types, zipmap=False, target_opset=15)
    return bytes(converted.SerializeToString())


def train_xgboost(features: Column, labels: Column) -> Timed:
    import xgboost

    settings = {"objective": "binary:logistic", "nthread": 1}
    booster = xgboost.train(settings, xgboost.DMatrix(features, labels), N_ROUNDS)
    return lambda feeds: booster.inplace_predict(feeds[NUMERIC])


def train_histogram_boosting(features: Column, labels: Column) -> Timed:
    model = HistGradientBoostingClassifier(max_iter=N_ROUNDS, early_stopping=False)
    model.fit(features, labels)
    return lambda feeds: model.predict_proba(feeds[NUMERIC])


def build_network(student: bytes) -> nn.Module:
    """The student's layers in torch, its weights read from the file."""
    model = onnx.load_from_string(student)
    weights = {
        tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer
    }
    layers: list[nn.Module] = []
    for node in [node for node in model.graph.node if node.op_type == "Gemm"]:
        weight, bias = (torch.tensor(weights[name]) for name in node.input[1:])
        if not any(a.name == "transB" and a.i for a in node.attribute):
            weight = weight.T
        layer = nn.Linear(weight.shape[1], weight.shape[0])
        layer.load_state_dict({"weight": weight, "bias": bias})
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1], nn.Softmax(dim=-1)).eval()


def answer_in_torch(network: Any) -> Timed:
    @torch.inference_mode()
    def answer(feeds: Feeds) -> Column:
        return network(torch.from_numpy(feeds[NUMERIC])).numpy()

    return answer
