"""One boosted model as scikit-learn grows it."""

from dataclasses import replace

import numpy as np
import pytest

from kdexport.training import growing
from kdexport.training.boosting import train_boosting, train_fold_boosting
from kdexport.training.growing import BoostingSettings, fit_booster
from kdexport.training.split_search import find_splits
from tests.training.boosting_toys import KINDS, Kind, make_task


def test_a_column_that_bins_may_miss_counts_as_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many rows scikit-learn reads some, heavy ones more often: rare cells may be none."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(1000, 3)).astype(np.float32)
    features[1:, 0] = features[200:, 1] = np.nan
    weights = np.where(np.arange(1000) < 200, 1e-3, 1.0)
    monkeypatch.setattr(growing, "BINNED_ROWS", 900)
    fitted = []
    for shares in (np.ones(1000), weights):
        model = fit_booster(
            BoostingSettings(max_iter=3),
            features,
            features[:, 2],
            shares,
            n_classes=0,
            seed=0,
            early_stopping=False,
        )
        fitted.append(model._bin_mapper.n_bins_non_missing_.tolist())
    assert [bins[0] for bins in fitted] == [1, 1]
    assert fitted[0][1] > 100
    assert fitted[1][1] == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_column_without_known_cells_splits_nothing(kind: Kind) -> None:
    """One cell is known: in the fold that holds it, the model of the others reads none."""
    schema, rows = make_task(kind, n_train=300)
    numeric = rows.train.inputs.numeric.copy()
    numeric[1:, 0] = np.nan
    sparse = replace(
        rows.train, inputs=rows.train.inputs.like(numeric, rows.train.inputs.categorical)
    )
    settings = BoostingSettings(max_iter=5, max_leaf_nodes=8)
    trees, outputs = train_fold_boosting(
        sparse, rows.validation, schema, settings, n_folds=3, seed=0
    )
    assert np.isfinite(outputs).all()
    assert 0 not in trees.feature
    assert len(find_splits(sparse, schema, seed=0)[0].thresholds) == 0
    numeric[0, 0] = np.nan
    assert train_boosting(sparse, rows.validation, schema, settings, seed=0).n_trees
