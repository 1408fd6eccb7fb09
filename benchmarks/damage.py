"""A bundle that can be damaged, and what damages are made of.

Hashes and sizes are stamped anew after every damage (but where that is the damage), so that none
is caught only because a file is not the one that was written.
"""

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.helper import tensor_dtype_to_np_dtype

from kdexport.bundle import EVIDENCE, STUDENT
from kdexport.evidence.claims import describe_file


@dataclass
class Draft:
    """A bundle that is being damaged: its files, its evidence, and what else lies in the folder."""

    files: dict[str, bytes]
    evidence: dict[str, Any]
    extra: dict[str, bytes] = field(default_factory=dict)
    links: list[str] = field(default_factory=list)
    is_stamped: bool = True

    @classmethod
    def read(cls, path: Path) -> "Draft":
        evidence = json.loads((path / EVIDENCE).read_text())
        return cls({name: (path / name).read_bytes() for name in evidence["files"]}, evidence)

    def copy(self) -> "Draft":
        return copy.deepcopy(self)

    def write(self, path: Path) -> None:
        """Write the folder, the evidence's facts of every file made to match."""
        for name in list(self.evidence["files"]) if self.is_stamped else []:
            if name in self.files:
                fact = describe_file(self.files[name], is_model=name.endswith(".onnx"))
                self.evidence["files"][name] = fact.model_dump()
            else:
                del self.evidence["files"][name]
        text = json.dumps(self.evidence).encode()
        for name, content in {**self.files, **self.extra, EVIDENCE: text}.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(content)
        for name in self.links:
            (path / name).rename(path.parent / f"{path.name}.{name}")
            (path / name).symlink_to(path.parent / f"{path.name}.{name}")

    def model(self, name: str = STUDENT) -> onnx.ModelProto:
        """Return a model whose weights are where nodes read them, none widened by a node."""
        model = onnx.load_from_string(self.files[name])
        stored = {tensor.name: tensor for tensor in model.graph.initializer}
        for cast in [n for n in model.graph.node if n.op_type == "Cast" and n.input[0] in stored]:
            tensor = stored[cast.input[0]]
            (target,) = [a.i for a in cast.attribute if a.name == "to"]
            wide = numpy_helper.to_array(tensor).astype(tensor_dtype_to_np_dtype(target))
            tensor.CopyFrom(numpy_helper.from_array(wide, cast.output[0]))
            model.graph.node.remove(cast)
        return model

    def keep(self, model: onnx.ModelProto, name: str = STUDENT) -> None:
        self.files[name] = model.SerializeToString(deterministic=True)


Damage = Callable[[Draft], Any]
Change = Callable[[np.ndarray], Any]


def find(model: onnx.ModelProto, op_type: str, i: int = 0) -> onnx.NodeProto:
    """The i-th node of a type."""
    return [node for node in model.graph.node if node.op_type == op_type][i]


def edit(model: onnx.ModelProto, name: str, change: Change) -> None:
    """Change a constant; `change` alters the array in place, or returns another."""
    for tensor in model.graph.initializer:
        if tensor.name == name:
            values = numpy_helper.to_array(tensor).copy()
            changed = change(values)
            values = values if changed is None else changed
            tensor.CopyFrom(numpy_helper.from_array(values, name))
            return
    raise KeyError(name)


def on_model(change: Callable[[onnx.ModelProto], None], name: str = STUDENT) -> Damage:
    """Turn a change of a model into a damage of a bundle."""

    def damage(draft: Draft) -> None:
        model = draft.model(name)
        change(model)
        draft.keep(model, name)

    return damage


def on_constant(
    op_type: str, position: int, change: Change, i: int = 0, name: str = STUDENT
) -> Damage:
    """Damage the constant that stands at an input of a node."""
    return on_model(lambda m: edit(m, find(m, op_type, i).input[position], change), name)


def on_tensor(path: str, change: Change) -> Damage:
    """Damage a golden tensor."""

    def damage(draft: Draft) -> None:
        tensor = onnx.TensorProto.FromString(draft.files[path])
        values = numpy_helper.to_array(tensor).copy()
        change(values)
        draft.files[path] = numpy_helper.from_array(values, tensor.name).SerializeToString()

    return damage


def put(index: Any, value: Any) -> Change:
    def change(values: np.ndarray) -> None:
        values[index] = value

    return change


def scale(index: Any, factor: float) -> Change:
    def change(values: np.ndarray) -> None:
        values[index] *= factor

    return change


def shift(index: Any, amount: float) -> Change:
    def change(values: np.ndarray) -> None:
        values[index] += amount

    return change


def set_field(*path: str, value: Any) -> Damage:
    """Set one field of the evidence."""

    def damage(draft: Draft) -> None:
        section = draft.evidence
        for name in path[:-1]:
            section = section[name]
        section[path[-1]] = value

    return damage
