"""How sure a model is, beside how often it is right: the reliability diagram's figures.

Takes answers and targets, gives `BinFact`s; takes evidence, says where its bins contradict it.
Source: Guo et al., "On Calibration of Modern Neural Networks" (2017).
"""

import numpy as np

from kdexport.evidence.facts import Evidence
from kdexport.evidence.few_rows import bound_share, count_effective
from kdexport.evidence.learning_facts import BinFact
from kdexport.evidence.metrics import bin_by_confidence
from kdexport.records import Answers, Column, Float64

RELATIVE = 1e-5
OWN_QUALITY = {"teacher": "teacher", "student": "shipped"}
"""Whose bins they are, to the role whose quality was measured on the same answers."""


def measure_bins(answers: Answers, targets: Column, weights: Float64) -> list[BinFact]:
    """Return the rows by confidence, in the bins of the calibration error; none of a regression.

    **Shape** targets `[n]` int64 class positions, weights `[n]` float64. The interval of an
    accuracy is that of as many rows as the weights leave (Kish's effective number).
    """
    if not answers.probabilities.shape[1]:
        return []
    confidence, correct, bins = bin_by_confidence(answers, targets)
    facts = []
    for number in np.unique(bins):
        own = bins == number
        weight = weights[own]
        accuracy = float(np.average(correct[own], weights=weight))
        facts.append(
            BinFact(
                rows=int(own.sum()),
                share=float(weight.sum() / weights.sum()),
                confidence=float(np.average(confidence[own], weights=weight)),
                accuracy=bound_share(accuracy, count_effective(weight)),
            )
        )
    return facts


def find_wrong_bins(evidence: Evidence) -> list[str]:
    """Say where bins contradict the test rows, the accuracy or the calibration error."""
    problems = []
    n_test = evidence.task.rows["test"].rows
    for role, bins in evidence.calibration.items():
        quality = evidence.quality.get(OWN_QUALITY.get(role, role), {})
        found = {
            "accuracy": sum(one.share * one.accuracy.value for one in bins),
            "ece": sum(one.share * abs(one.accuracy.value - one.confidence) for one in bins),
        }
        n_rows = sum(one.rows for one in bins)
        if n_rows != n_test:
            problems.append(f"the bins of the {role} hold {n_rows:,} of {n_test:,} test rows")
        problems += [
            f"{metric} by the bins of the {role} is {value:.6g}, not {quality[metric].value:.6g}"
            for metric, value in found.items()
            if metric in quality and not abs(value - quality[metric].value) <= RELATIVE
        ]
    return problems
