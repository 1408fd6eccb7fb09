"""A run that was stopped goes on from the last finished step, and makes the same bytes."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from kdexport.disk import kept_outputs
from kdexport.errors import KdexportWarning
from kdexport.pipeline import run
from kdexport.prepared import Trained
from kdexport.recipe import NOTHING, read_recipe
from kdexport.records import Parts
from kdexport.resume import Steps
from kdexport.student_section import StudentRecipe
from kdexport.training import own_teacher
from kdexport.training.steps import hash_answers
from tests.conftest import QUICK, RIVAL

RECIPE = {
    **QUICK,
    **RIVAL,
    "data.target": "y",
    "threads": 1,
    "teacher.regularisation": "chosen",
    "teacher.max_epochs": 1,
    "transfer.selection": "chosen",
    "transfer.n_synthetic": 200,
}
STEPS = ("regularisation", "ensemble", "teacher", "form", "transfer", "students", "rival")


def read_models(bundle: Path) -> dict[str, bytes]:
    """Every model file and golden row, by name."""
    paths = [*bundle.glob("*.onnx"), *bundle.glob("golden/**/*.pb")]
    return {str(path.relative_to(bundle)): path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def uninterrupted(csv_path: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What a run makes that nobody stops."""
    output = tmp_path_factory.mktemp("whole") / "x"
    run(read_recipe(None, RECIPE), output, data=csv_path)
    return read_models(output)


def test_stopped_after_every_step(
    uninterrupted: dict[str, bytes],
    csv_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A run stopped after each of its steps makes none of them twice, and the same bytes."""
    kept: list[str] = []

    def stop_after(method: Callable[..., Any]) -> Callable[..., Any]:
        """Stop a run right after it made something, and not where it was kept."""

        def make_and_stop(steps: Steps, name: str, *rest: Any) -> Any:
            *kind, make = rest
            made: list[Any] = []

            def note() -> Any:
                made.append(make())
                return made[0]

            result = method(steps, name, *kind, note)
            if made:
                kept.append(name)
                raise KeyboardInterrupt
            return result

        return make_and_stop

    monkeypatch.setattr(Steps, "take", stop_after(Steps.take))
    monkeypatch.setattr(Steps, "choose", stop_after(Steps.choose))
    recipe, output = read_recipe(None, RECIPE), tmp_path / "x"
    for n_finished in range(len(STEPS)):
        with pytest.raises(KeyboardInterrupt):
            run(recipe, output, data=csv_path, resume=True)
        assert tuple(kept) == STEPS[: n_finished + 1]
        assert [path.name for path in tmp_path.iterdir()] == [".x.kdexport"]
    run(recipe, output, data=csv_path, resume=True)
    assert tuple(kept) == STEPS
    assert read_models(output) == uninterrupted
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


@pytest.fixture
def stopped(csv_path: Path, tmp_path: Path) -> Callable[..., None]:
    """A function that stops a run before its n-th step."""

    def stop(
        monkeypatch: pytest.MonkeyPatch,
        before: str,
        *,
        resume: bool,
        teacher: Any = None,
        given: Mapping[str, Any] = NOTHING,
    ) -> None:
        take = Steps.take

        def refuse(steps: Steps, name: str, make: Callable[[], Trained]) -> Trained:
            if name == before:
                raise KeyboardInterrupt
            return take(steps, name, make)

        recipe = {**RECIPE, **given}
        with monkeypatch.context() as patch:
            patch.setattr(Steps, "take", refuse)
            with pytest.raises(KeyboardInterrupt):
                run(recipe, tmp_path / "x", data=csv_path, teacher=teacher, resume=resume)

    return stop


def test_nothing_is_left_unless_asked(
    stopped: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without --resume a stopped run leaves nothing, and with it says that it left something."""
    stopped(monkeypatch, "teacher", resume=False)
    assert list(tmp_path.iterdir()) == []
    assert tmp_path / "x" not in kept_outputs()
    stopped(monkeypatch, "teacher", resume=True)
    assert tmp_path / "x" in kept_outputs()


def test_another_table_starts_anew(
    stopped: Callable[..., None],
    uninterrupted: dict[str, bytes],
    csv_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Finished steps of another table or recipe are said to be, and thrown away."""
    stopped(monkeypatch, "teacher", resume=True)
    other = pl.read_csv(csv_path).with_columns(pl.col("a") * 2)
    with pytest.warns(KdexportWarning, match="another table, recipe or version"):
        run(read_recipe(None, RECIPE), tmp_path / "x", data=other, resume=True)
    assert read_models(tmp_path / "x") != uninterrupted


def test_damaged_step_is_made_again(
    stopped: Callable[..., None],
    uninterrupted: dict[str, bytes],
    csv_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A finished step that the disk damaged is made again."""
    stopped(monkeypatch, "teacher", resume=True)
    (path,) = (tmp_path / ".x.kdexport" / "steps").glob("ensemble.*")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    run(read_recipe(None, RECIPE), tmp_path / "x", data=csv_path, resume=True)
    assert read_models(tmp_path / "x") == uninterrupted


def test_stopped_while_it_cleared(tmp_path: Path) -> None:
    """Steps that nobody says the job of are thrown away: a clearing of them was stopped."""
    folder = tmp_path / "steps"
    Steps(folder, "a job").choose("form", StudentRecipe, StudentRecipe)
    Steps(folder, "a job")
    assert len(list(folder.iterdir())) == 2
    (folder / "job").unlink()
    with pytest.warns(KdexportWarning, match="starting anew"):
        Steps(folder, "a job")
    assert [path.name for path in folder.iterdir()] == ["job"]


def test_a_teacher_is_not_asked_twice(
    stopped: Callable[..., None], csv_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A teacher that was stopped while it labelled synthetic rows goes on where it was; another one
    is asked about all of them.
    """
    monkeypatch.setattr(own_teacher, "ROWS_AT_ONCE", 200)
    table = pl.read_csv(csv_path).drop("y").cast(pl.Float32)
    real, asked = set(table.iter_rows()), []

    def ask(frame: Any, slope: float = 2.0, n_calls: int = 99) -> Any:
        n_made = sum(row not in real for row in frame.itertuples(index=False, name=None))
        if n_made and len(asked) == n_calls:
            raise KeyboardInterrupt
        asked.extend([n_made] if n_made else [])
        yes = 1 / (1 + np.exp(-slope * frame["a"]))
        return np.stack([1 - yes, yes], axis=1)

    def learn_from(teacher: Any) -> list[int]:
        """Return how many synthetic rows a teacher was asked about, call by call."""
        asked.clear()
        given = {"transfer.selection": "given", "transfer.n_synthetic": 500}
        stopped(monkeypatch, "rival", resume=True, teacher=teacher, given=given)
        return asked.copy()

    first = learn_from(partial(ask, n_calls=2))
    second = learn_from(ask)
    other = learn_from(partial(ask, slope=3.0))
    assert len(first) == 2
    assert first + second == other
    assert learn_from(ask) == []


def test_answers_for_unlabelled_rows(tmp_path: Path) -> None:
    """Students are kept under all answers that they learn from, those for unlabelled rows too."""
    parts = Parts(*(SimpleNamespace(inputs=np.full((3, 2), float(i))) for i in range(3)))
    extra = SimpleNamespace(inputs=np.full((4, 2), 9.0))
    prepared: Any = SimpleNamespace(rows=parts, unlabeled=extra)

    def hash_with(answer: float) -> str:
        def answer_all(inputs: Any) -> Any:
            return np.where(inputs == 9, answer, inputs)

        teacher: Any = SimpleNamespace(compute_outputs=answer_all, own_outputs=None)
        return hash_answers(teacher, prepared)

    assert hash_with(1.0) == hash_with(1.0) != hash_with(2.0)
