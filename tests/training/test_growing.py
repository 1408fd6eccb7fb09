"""One boosted model as scikit-learn grows it."""

import numpy as np
import pytest

from kdexport.training import growing
from kdexport.training.growing import BoostingSettings, fit_booster


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
