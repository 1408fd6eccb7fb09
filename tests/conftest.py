"""What several tests share: a small table on disk, and a recipe that trains in a second."""

from pathlib import Path

import numpy as np
import pytest

from kdexport.pipeline import distill, export, train
from kdexport.recipe import Recipe, read_recipe

QUICK = {
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
