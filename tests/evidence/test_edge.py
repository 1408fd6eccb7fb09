"""Edge and recovered edge."""

import itertools

import numpy as np
import pytest

from kdexport.evidence.edge import EdgeResult, _rows_to_settle, measure_edge
from kdexport.evidence.few_rows import count_effective, count_rarest
from kdexport.evidence.metrics import (
    BINARY,
    CLASSIFICATION,
    REGRESSION,
    measure_quality,
    score_rows,
)
from kdexport.evidence.shape import Interval
from kdexport.records import Answers
from tests.evidence.population import Population

SHARE = 0.8
BINARY_SOME = {name: BINARY[name] for name in ("accuracy", "log_loss", "auc")}
N_DRAWS = 200


def simulate(
    rng: np.random.Generator, *, teacher: float, control: float, student: float, n_rows: int = 2000
) -> EdgeResult:
    """Scores of independent rows with given expected accuracies, five replicates that differ."""

    def draw(level: float, n: int, spread: float) -> np.ndarray:
        levels = level + spread * rng.standard_normal(n)
        return (rng.random((n, n_rows)) < levels[:, None]).astype(np.float64)

    levels = {"teacher": (teacher, 1, 0.0), "control": (control, 5, 4e-3)}
    levels["student"] = (student, 5, 4e-3)
    scores = {}
    for role, (level, n, spread) in levels.items():
        right = draw(level, n, spread)
        scores[role] = {name: right if name == "accuracy" else 1 - right for name in CLASSIFICATION}
    seed = int(rng.integers(2**31))
    return measure_edge(scores, CLASSIFICATION, asked_share=0.9, n_draws=N_DRAWS, seed=seed)


def test_share_of_known_edge() -> None:
    """The recovered share is the student's gain over the control's, whatever the metric's sign."""
    rng = np.random.default_rng(0)
    result = simulate(rng, teacher=0.95, control=0.75, student=0.91, n_rows=50_000)
    for metric in CLASSIFICATION:
        assert result.recovered[metric].value == pytest.approx(SHARE, abs=0.03)
        assert result.edge[metric].low > 0


def test_gain_is_the_numerator() -> None:
    """The gain over the control is the recovered share of the edge, with an interval of its own."""
    result = simulate(np.random.default_rng(4), teacher=0.95, control=0.75, student=0.91)
    for metric in CLASSIFICATION:
        gained, edge = result.gained[metric], result.edge[metric]
        share = result.recovered[metric]
        assert gained.value == pytest.approx(share.value * edge.value)
        assert 0 < gained.low < gained.value < gained.high < edge.high
    alike = simulate(np.random.default_rng(5), teacher=0.95, control=0.8, student=0.8)
    assert alike.gained["accuracy"].low < 0 < alike.gained["accuracy"].high


@pytest.mark.parametrize(
    ("teacher", "student", "verdict"),
    [(0.9, 0.9, "NO_EDGE"), (0.99, 0.99, "RECOVERED"), (0.99, 0.93, "NOT_RECOVERED")],
)
def test_verdicts(teacher: float, student: float, verdict: str) -> None:
    """No edge is said as plainly as a recovered or a missed one."""
    rng = np.random.default_rng(2)
    result = simulate(rng, teacher=teacher, control=0.9, student=student, n_rows=20_000)
    assert result.recovered["accuracy"].verdict == verdict


def test_inconclusive_says_how_many_rows() -> None:
    """Where the interval spans the asked share, the rows that would settle it are more."""
    rng = np.random.default_rng(3)
    result = simulate(rng, teacher=0.95, control=0.85, student=0.932, n_rows=1000)
    share = result.recovered["accuracy"]
    assert share.verdict == "INCONCLUSIVE"
    assert share.rows_to_settle is None or share.rows_to_settle > 1000


def test_rows_that_would_settle_it_are_more_than_there_are() -> None:
    """However close the interval ends to the asked share, and whatever the draws."""
    population, n_rows, found = Population(0.02, 0.7, ("accuracy",)), 800, []
    for run, seed in itertools.product(range(3, 8), range(4)):
        scores = population.draw_scores(np.random.default_rng([n_rows, run]), n_rows)
        metrics = population.find_metrics()
        result = measure_edge(scores, metrics, asked_share=0.9, n_draws=N_DRAWS, seed=seed)
        found.append(result.recovered["accuracy"].rows_to_settle)
    counts = [count for count in found if count is not None]
    assert len(counts) > 5
    assert min(counts) > n_rows


@pytest.mark.parametrize(
    ("value", "low", "high", "from_rows", "n_rows"),
    [
        (0.8, 0.6, 1.05, 1.0, 6250),  # reaches 2.5 times as far as it may: 2.5^2 times the rows
        (0.8, 0.6, 1.05, 0.9, 15_000),  # a tenth of the variance stays
        (0.8, 0.6, 1.05, 0.8, None),  # what stays reaches as far by itself
        (0.95, 0.85, 1.2, 1.0, 4000),  # above what is asked the lower end counts
        (0.9, 0.8, 1.0, 1.0, None),
    ],
)
def test_rows_that_would_settle_an_interval(
    value: float, low: float, high: float, from_rows: float, n_rows: int | None
) -> None:
    """As many as bring its end to 0.9, where the variance from rows shrinks with their number."""
    found = _rows_to_settle(Interval(value=value, low=low, high=high), 0.9, from_rows, 1000)
    assert found == (n_rows and pytest.approx(n_rows, abs=1))


@pytest.mark.parametrize("noise", [0.0, 1e-17, 1e-90])
def test_replicates_alike(noise: float) -> None:
    """Replicates that are one model, but for rounding, add nothing to what rows are in doubt of."""
    rng = np.random.default_rng(5)
    metrics = {"log_loss": CLASSIFICATION["log_loss"]}
    scores = {}
    for role, level in (("teacher", 0.2), ("control", 0.5), ("student", 0.25)):
        one = level + 0.1 * rng.standard_normal((1, 1000))
        apart = noise * np.arange(1 if role == "teacher" else 3)[:, None]
        scores[role] = {"log_loss": one * (1 + apart)}
    result = measure_edge(scores, metrics, asked_share=0.8, n_draws=500, seed=0)
    student = result.quality["student"]["log_loss"]
    assert student.high - student.low == pytest.approx(2 * 1.96 * 0.1 / 1000**0.5, rel=0.15)
    assert result.recovered["log_loss"].verdict == "RECOVERED"


def test_no_row_against() -> None:
    """Ten rows that are all answered rightly are no certainty: Wilson's interval of 10 of 10.

    What is known of an AUC is bounded by the rows of the rarer class, a log loss by what it varies.
    """
    right = {
        "accuracy": np.ones((1, 10)),
        "log_loss": np.full((1, 10), 0.1),
        "auc": np.ones((1, 10)),
    }
    scores = {"teacher": right, "control": right, "student": right}
    result = measure_edge(scores, BINARY_SOME, asked_share=0.9, n_draws=100, seed=0, n_rarest=2)
    found = result.quality["teacher"]
    assert (found["accuracy"].value, found["accuracy"].high) == (1.0, 1.0)
    assert found["accuracy"].low == pytest.approx(10 / (10 + 1.96**2))
    assert found["auc"].low == pytest.approx(2 / (2 + 1.96**2))
    assert found["log_loss"].low == pytest.approx(0.1)
    answers = Answers(np.arange(10) % 2, np.eye(2, dtype=np.float32)[np.arange(10) % 2])
    quality = measure_quality(answers, np.arange(10) % 2, np.ones(10))
    assert quality["accuracy"].low == pytest.approx(10 / (10 + 1.96**2))
    assert quality["auc"].low == pytest.approx(5 / (5 + 1.96**2))


def test_heavy_rows_are_few() -> None:
    """Ten rows of a thousand that weigh nearly all carry no more than ten: Kish's number."""
    weights = np.full(1000, 1e-6)
    weights[:10] = 1.0
    weights /= weights.mean()
    targets = np.arange(1000) % 2
    answers = Answers(targets, np.eye(2, dtype=np.float32)[targets])
    assert count_effective(weights) == pytest.approx(10, rel=1e-3)
    assert count_rarest(targets, weights) == pytest.approx(5, rel=1e-3)
    right = {"accuracy": np.ones((1, 1000)), "auc": np.ones((1, 1000))}
    found = measure_edge(
        {"teacher": right, "control": right, "student": right},
        {name: BINARY[name] for name in right},
        asked_share=0.9,
        n_draws=100,
        seed=0,
        n_rarest=count_rarest(targets, weights),
        weights=weights,
    ).quality["teacher"]
    for quality in (measure_quality(answers, targets, weights), found):
        assert quality["accuracy"].low == pytest.approx(10 / (10 + 1.96**2), rel=1e-3)
        assert quality["auc"].low == pytest.approx(5 / (5 + 1.96**2), rel=1e-3)


def test_no_row_differs() -> None:
    """A difference that none of 50 rows shows may be one of 3 in 50: the rule of three."""
    right = {"accuracy": np.ones((1, 50))}
    scores = dict.fromkeys(("teacher", "control", "student", "rival"), right)
    metrics = {"accuracy": CLASSIFICATION["accuracy"]}
    found = measure_edge(scores, metrics, asked_share=0.9, n_draws=100, seed=0)
    for interval in (found.edge["accuracy"], found.gained["accuracy"], found.lead["accuracy"]):
        assert (interval.low, interval.value, interval.high) == (-0.06, 0.0, 0.06)
    assert found.recovered["accuracy"].verdict == "NO_EDGE"


@pytest.mark.parametrize("level", [67 / 69, 0.1, 1 / 3])
def test_an_edge_of_rounding_is_none(level: float) -> None:
    """Means of equal sums differ in their last bit: nothing is divided by that."""
    scores = {
        role: {"log_loss": np.full((n, 40), level)}
        for role, n in (("teacher", 1), ("control", 5), ("student", 3))
    }
    scores["control"]["log_loss"] = np.tile(np.linspace(0, 2 * level, 40), (5, 1))
    scores["student"]["log_loss"] = scores["student"]["log_loss"] + 0.5
    assert scores["control"]["log_loss"].mean() == pytest.approx(level)
    metrics = {"log_loss": CLASSIFICATION["log_loss"]}
    found = measure_edge(scores, metrics, asked_share=0.9, n_draws=N_DRAWS, seed=0)
    share = found.recovered["log_loss"]
    assert (found.edge["log_loss"].value, share.value) == (0.0, 0.0)
    assert share.verdict == "NO_EDGE"
    assert max(abs(share.low), abs(share.high)) < 1e4


@pytest.mark.parametrize("metric", ["log_loss", "brier"])
@pytest.mark.parametrize(("n_others", "verdict"), [(4, "NO_EDGE"), (5, "RECOVERED")])
def test_rows_of_one_class_alone_carry_no_edge(n_others: int, verdict: str, metric: str) -> None:
    """Of whom gives a class less that is hardly there, resampled rows are sure; they may not be."""
    losses = {"teacher": 0.001, "student": 0.001, "control": 0.002}
    scores = {
        role: {metric: np.full((1 if role == "teacher" else 5, 600), value)}
        for role, value in losses.items()
    }
    metrics = {metric: CLASSIFICATION[metric]}
    found = measure_edge(scores, metrics, asked_share=0.9, n_draws=100, seed=0, n_others=n_others)
    assert found.edge[metric].value == pytest.approx(0.001)
    assert found.recovered[metric].verdict == verdict


def test_scores_of_hand_made_rows() -> None:
    """Accuracy, log loss and Brier of two rows are what one works out by hand."""
    probabilities = np.array([[0.75, 0.25], [0.5, 0.5]], np.float32)
    answers = Answers(np.array([0, 0]), probabilities)
    scores = score_rows(CLASSIFICATION, answers, np.array([0, 1]), np.ones(2))
    np.testing.assert_allclose(scores["accuracy"], [1, 0])
    np.testing.assert_allclose(scores["log_loss"], -np.log([0.75, 0.5]))
    np.testing.assert_allclose(scores["brier"], [0.125, 0.5])


def test_certain_and_wrong_is_finite() -> None:
    """An answer of exactly 0 for the label has a large, finite log loss."""
    answers = Answers(np.array([0]), np.array([[1.0, 0.0]], np.float32))
    scores = score_rows(CLASSIFICATION, answers, np.array([1]), np.ones(1))
    assert np.isfinite(scores["log_loss"]).all()


def test_regression_metrics_of_hand_made_rows() -> None:
    """RMSE, MAE and R2 are what one works out by hand."""
    answers = Answers(np.array([1.0, 5.0], np.float32), np.empty((2, 0), np.float32))
    scores = score_rows(REGRESSION, answers, np.array([2.0, 8.0]), np.ones(2))
    values = {
        name: float(metric.finish(scores[name].mean())) for name, metric in REGRESSION.items()
    }
    assert values == pytest.approx({"rmse": 5**0.5, "mae": 2.0, "r2": 1 - 5 / 9})


def test_weights_count_rows() -> None:
    """A row of weight 2 counts as two rows of weight 1."""
    answers = Answers(np.array([0, 0]), np.array([[0.9, 0.1], [0.6, 0.4]], np.float32))
    twice = Answers(np.array([0, 0, 0]), answers.probabilities[[0, 0, 1]])
    weights = np.array([2.0, 1.0]) / 1.5
    once = score_rows(CLASSIFICATION, answers, np.array([0, 1]), weights)
    repeated = score_rows(CLASSIFICATION, twice, np.array([0, 0, 1]), np.ones(3))
    for name in CLASSIFICATION:
        own = np.average(once[name], weights=weights)
        assert own == pytest.approx(repeated[name].mean())


def test_recovered_rmse() -> None:
    """The recovered edge of a regression is that of RMSE, a root of means, not a mean of roots."""
    rng = np.random.default_rng(4)
    errors = {"teacher": 1.0, "control": 2.0, "student": 1.2}
    scores = {}
    for role, size in errors.items():
        squares = np.square(size * rng.standard_normal((1 if role == "teacher" else 5, 40_000)))
        scores[role] = dict.fromkeys(REGRESSION, squares)
    result = measure_edge(scores, REGRESSION, asked_share=0.7, n_draws=N_DRAWS, seed=0)
    assert result.recovered["rmse"].value == pytest.approx(0.8, abs=0.02)
    assert result.quality["student"]["rmse"].value == pytest.approx(1.2, abs=0.01)
    assert result.recovered["rmse"].verdict == "RECOVERED"
