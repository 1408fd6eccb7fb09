"""A user's own teachers behind one protocol: a table in, class probabilities or numbers out.

Takes fitted scikit-learn models, torch modules and functions, gives `Teacher`s; ONNX files are in
`file_teacher`. What they answer is checked in `own_teacher`.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from kdexport.columns import numbers_of
from kdexport.errors import DataError
from kdexport.records import Column, Float64, Table
from kdexport.restore import Layout
from kdexport.signature import listed
from kdexport.training.nets import evaluating

Label = bool | int | str
Labels = tuple[Label, ...]
Call = Callable[[], Any]
Ask = Callable[[], Float64]


@runtime_checkable
class Teacher(Protocol):
    """Whatever gives the soft targets.

    Attributes:
        name: What messages call it.
        classes: What the columns of its answers stand for; empty where it does not say (then they
            stand for the task's classes in order), and of a regression.
    """

    @property
    def name(self) -> str: ...

    @property
    def classes(self) -> Labels: ...

    def answer(self, table: Table) -> Any:
        """Answer for rows of raw columns: `[n, K]` probabilities, or `[n]` numbers.

        A frame whose columns are named by the classes may have them in any order.
        """
        ...


@dataclass(frozen=True)
class EstimatorTeacher:
    """A fitted model with scikit-learn's interface, fed the columns as it was fitted on them.

    Attributes:
        name: What messages call it.
        model: Has `predict_proba`, and `classes_` if it names them, or `predict`.
        layout: The form of the user's data.
    """

    name: str
    model: Any
    layout: Layout

    @property
    def classes(self) -> Labels:
        labels = getattr(self.model, "classes_", None)  # None in CatBoost before it is fitted
        return plain_labels(() if labels is None else labels)

    @property
    def fitted_names(self) -> list[str]:
        """The columns of the frame that it was fitted on, in order; none where it was an array."""
        own = getattr(self.model, "feature_names_", None) or ()  # CatBoost's word for it
        names = [str(name) for name in getattr(self.model, "feature_names_in_", own)]
        return names if names != [str(i) for i in range(len(names))] else []

    def answer(self, table: Table) -> Any:
        if self.classes and not self._has_probabilities:
            raise DataError(
                "a teacher of classes gives probabilities",
                found=f"{self.name} has classes and no predict_proba",
                cure="wrap it in scikit-learn's CalibratedClassifierCV",
            )
        return self.prepare_call(table)()

    @property
    def _has_probabilities(self) -> bool:
        return hasattr(self.model, "predict_proba")

    def prepare_call(self, table: Table) -> Call:
        """Arrange rows as the model takes them; return the call that answers them."""
        call = self.model.predict_proba if self._has_probabilities else self.model.predict
        return partial(call, self.arrange(table))

    def arrange(self, table: Table) -> Any:
        """Return rows as the model was fitted on them: a frame of its columns, or an array."""
        names = self.fitted_names
        if names and set(names) <= set(table.columns):
            return self.layout.to_frame(_pick(table, names), names)
        n_asked = getattr(self.model, "n_features_in_", None) or len(table.columns)
        if n_asked != len(table.columns):
            absent = [name for name in names if name not in table.columns]
            raise DataError(
                "the table has the columns that its teacher was fitted on",
                found=f"{self.name} takes {n_asked}, the table has {len(table.columns)}"
                + (f" and no column {listed(absent)}" if absent else ""),
                cure="pass the rows as the teacher was fitted on them",
            )
        if names:  # fitted on a frame, distilled on an array: columns are known by position
            return self.layout.to_frame(table, names)
        if self.layout.is_frame and not getattr(self.model, "n_features_in_", None):
            return self.layout.to_own_frame(table)
        return self.layout.to_array(table)


@dataclass(frozen=True)
class TorchTeacher:
    """A torch module from numbers `[n, F]` float32 to logits `[n, K]`, or numbers `[n]`.

    One logit of two classes is that of the second. The module answers in evaluation mode, and
    every part of it is back in the mode it was in afterwards.

    Attributes:
        name: What messages call it.
        module: The module.
        n_classes: 0 for a regression.
        classes: What its logits stand for, where it says so (`classes_`).
    """

    name: str
    module: nn.Module
    n_classes: int
    classes: Labels = ()

    @torch.no_grad()
    def answer(self, table: Table) -> Column:
        with evaluating(self.module):
            outputs = self.module(self._read(table))
        return self._finish(outputs.double().cpu())

    def prepare_call(self, table: Table) -> Call:
        """Make a tensor of the rows; return the call of a resting copy that answers them."""
        rows, module = self._read(table), self._resting

        @torch.inference_mode()
        def call() -> Column:
            return self._finish(module(rows).cpu())

        return call

    @cached_property
    def _resting(self) -> nn.Module:
        """A copy that is in evaluation mode once and for all, as it is where it serves."""
        return copy.deepcopy(self.module).eval()

    def _read(self, table: Table) -> Tensor:
        first = next(self.module.parameters(), torch.empty(0))
        return torch.from_numpy(stack_numbers(table)).to(first)

    def _finish(self, outputs: Tensor) -> Column:
        """Turn what the module gives into probabilities or numbers, **Shape** `[n, K]`."""
        if not self.n_classes:
            return outputs.reshape(len(outputs), -1).numpy()
        if outputs.ndim == 1 or outputs.shape[1] == 1:
            logit = outputs.reshape(-1)
            outputs = torch.stack([torch.zeros_like(logit), logit], dim=1)
        return torch.softmax(outputs, dim=-1).numpy()


@dataclass(frozen=True)
class FunctionTeacher:
    """A function from the user's frame to probabilities `[n, K]`, or numbers `[n]`."""

    name: str
    function: Callable[[Any], Any]
    layout: Layout
    classes: Labels = ()

    def answer(self, table: Table) -> Any:
        return self.prepare_call(table)()

    def prepare_call(self, table: Table) -> Call:
        """Make a frame of the rows; return the call that answers them."""
        return partial(self.function, self.layout.to_own_frame(table))


def ask_now(_teacher: int, _rows: Table, ask: Ask) -> Float64:
    """Ask a teacher about rows, whatever it has answered before."""
    return ask()


def plain_labels(labels: Any) -> Labels:
    """Return class labels as a task has them: bool, int or str."""
    plain = [v.item() if isinstance(v, np.generic) else v for v in labels]
    return tuple(int(v) if isinstance(v, float) and v.is_integer() else v for v in plain)


def refuse_strangers(strangers: Sequence[Label], classes: Labels, name: str) -> None:
    """Refuse a teacher that answers classes that the task has not.

    Raises:
        DataError: There are some.
    """
    if strangers:
        raise DataError(
            "a teacher knows no class that the task has not",
            found=f"{name} also answers {listed(strangers)}",
            cure=f"the task's classes are {listed(classes)}",
        )


def _pick(table: Table, names: Sequence[str]) -> Table:
    return Table({name: table.columns[name] for name in names}, table.row_ids, table.source)


def stack_numbers(table: Table) -> Float64:
    """All columns as numbers, **Shape** `[n, F]` float64: whoever reads them narrows them."""
    return np.stack([numbers_of(table, name) for name in table.columns], axis=1)
