"""What several tests share: a small table on disk, and a recipe that trains in a second."""

import gc
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from kdexport.pipeline import distill, export, run, train
from kdexport.recipe import Recipe, read_recipe

QUICK = {
    "threads": 1,
    "teacher.n_members": 2,
    "teacher.hidden": [16],
    "teacher.max_epochs": 3,
    "teacher.n_folds": 2,
    "rival.model": "none",
    "student.hidden": [8],
    "student.n_replicates": 2,
    "student.max_epochs": 1,
    "student.plain_control": "none",
    "transfer.n_synthetic": 500,
    "evidence.n_draws": 100,
    "bench.batches": [1],
    "bench.seconds": 0.2,
}

RIVAL = {"rival.model": "hist_gradient_boosting"}  # where a test needs rival.onnx too


@pytest.fixture(scope="session", autouse=True)
def _export_and_collect_quickly() -> Iterator[None]:
    """Spare the suite what it would pay for a hundred times and no user notices.

    Torch builds its table of operators anew for each export, which is half of the export's time;
    here it is built once. The million objects of its modules are looked through for garbage once.
    """
    if "torch" not in sys.modules:  # no test of this run exports in this process, or few do
        yield
        return
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            ONNXRegistry, "from_torchlib", staticmethod(cache(ONNXRegistry.from_torchlib))
        )
        gc.collect()
        gc.freeze()
        yield
        gc.unfreeze()


@pytest.fixture(scope="session")
def quick_recipe() -> Recipe:
    """A recipe of every step at its smallest."""
    return read_recipe(None, QUICK)


@pytest.fixture(scope="session")
def quick_flags() -> list[str]:
    """The same as flags of the command line."""
    return [f"--set={key}={value}" for key, value in QUICK.items()]


@pytest.fixture(scope="session")
def csv_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """600 rows of four numbers and a text label that depends on two of them."""
    rng = np.random.default_rng(5)
    features = rng.normal(size=(600, 4)) * [1.0, 5.0, 0.1, 2.0] + [0.0, 3.0, 1.0, 40.0]
    labels = np.where(features[:, 0] + features[:, 1] / 5 > 0.6, "yes", "no")
    lines = ["a,b,c,d,y"]
    lines += [
        ",".join(f"{v:.4f}" for v in row) + f",{y}" for row, y in zip(features, labels, strict=True)
    ]
    path = tmp_path_factory.mktemp("data") / "table.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="session")
def work_path(csv_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder with the checkpoints of a quick run on the small table."""
    work = tmp_path_factory.mktemp("gate") / "work"
    train(read_recipe(None, {**QUICK, "data.target": "y"}), work, data=csv_path)
    distill(work)
    return work


@pytest.fixture(scope="session")
def bundle_path(work_path: Path) -> Path:
    """The bundle exported from it; tests copy it before they change anything."""
    output = work_path.parent / "bundle"
    export(work_path, output)
    return output


def make_census_rows(n_rows: int = 600) -> list[str]:
    """Made-up lines of a CSV with the columns of the adult table, header first."""
    rng = np.random.default_rng(11)
    columns = {
        "age": rng.integers(17, 90, n_rows),
        "workclass": rng.choice(["Private", "Local-gov", ""], n_rows, p=[0.8, 0.15, 0.05]),
        "fnlwgt": rng.integers(12_285, 1_490_400, n_rows),
        "education": rng.choice(["HS-grad", "Bachelors", "Masters"], n_rows),
        "education-num": rng.integers(1, 17, n_rows),
        "marital-status": rng.choice(["Never-married", "Married-civ-spouse"], n_rows),
        "occupation": rng.choice(["Sales", "Craft-repair", ""], n_rows),
        "relationship": rng.choice(["Husband", "Wife", "Own-child"], n_rows),
        "race": rng.choice(["White", "Black"], n_rows),
        "sex": rng.choice(["Male", "Female"], n_rows),
        "capital-gain": np.where(rng.random(n_rows) < 0.1, rng.integers(1, 99_999, n_rows), 0),
        "capital-loss": np.where(rng.random(n_rows) < 0.1, rng.integers(1, 4_356, n_rows), 0),
        "hours-per-week": rng.integers(1, 99, n_rows),
        "native-country": rng.choice(["United-States", "Mexico", ""], n_rows),
    }
    is_rich = columns["age"] + 3 * columns["education-num"] + rng.normal(0, 8, n_rows) > 80
    columns["income"] = np.where(is_rich, ">50K", "<=50K")
    rows = zip(*(values.tolist() for values in columns.values()), strict=True)
    return [",".join(columns), *(",".join(map(str, row)) for row in rows)]


@pytest.fixture(scope="session")
def census_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with a rival, of classes over numbers and text, beside its table."""
    folder = tmp_path_factory.mktemp("census")
    (folder / "adult.csv").write_text("\n".join(make_census_rows()) + "\n")
    recipe = read_recipe(None, {**QUICK, **RIVAL, "data.target": "income"})
    run(recipe, folder / "bundle", data=folder / "adult.csv")
    return folder / "bundle"


@pytest.fixture(scope="session")
def dates_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with a rival: a regression on numbers beyond float32, flags, dates, a constant."""
    rng, n_rows = np.random.default_rng(12), 400
    stamps = 1_700_000_000_000_000_000 + rng.integers(0, 10**12, n_rows) * 1000
    data = {
        "stamp": stamps,
        "flag": rng.random(n_rows) < 0.5,
        "since": np.datetime64("2026-01-01") + rng.integers(0, 300, n_rows).astype("m8[D]"),
        "same": np.full(n_rows, 14.62),
        "y": rng.normal(size=n_rows) + (stamps - stamps.mean()) / stamps.std(),
    }
    output = tmp_path_factory.mktemp("dates") / "bundle"
    run(read_recipe(None, {**QUICK, **RIVAL, "data.target": "y"}), output, data=data)
    return output
