"""The public names: looked up when they are used, and known to type checkers."""

import ast
from functools import partial
from importlib import import_module
from pathlib import Path

import pytest

import kdexport
from kdexport.evidence.front import Limits
from kdexport.search import search


def read_typed_names() -> dict[str, str]:
    """Every name that a type checker sees to the room it comes from."""
    tree = ast.parse(Path(kdexport.__file__).read_text())
    blocks = [
        node
        for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    imports = [node for block in blocks for node in block.body if isinstance(node, ast.ImportFrom)]
    return {alias.name: str(node.module) for node in imports for alias in node.names}


def test_type_checkers_see_the_names_that_are_looked_up() -> None:
    """`__all__`, the rooms of lazy names and the imports for type checkers are the same names."""
    assert read_typed_names() == kdexport._ROOMS
    assert sorted(kdexport.__all__) == sorted(kdexport._ROOMS)


@pytest.mark.parametrize("name", kdexport.__all__)
def test_every_name_is_looked_up_where_it_is_at_home(name: str) -> None:
    """A public name comes from the room that defines it."""
    room = kdexport._ROOMS[name]
    assert getattr(kdexport, name) is getattr(import_module(room), name)
    assert getattr(kdexport, name).__module__ == room


def test_a_name_that_is_not_there() -> None:
    """Any other name is none of the package's."""
    with pytest.raises(AttributeError, match="has no attribute 'absent'"):
        kdexport.absent  # noqa: B018  # looking it up is the test


def test_paths_may_be_text(bundle_path: Path, csv_path: Path) -> None:
    """Whatever takes a path takes it as text, too."""
    recipe = kdexport.read_recipe(str(bundle_path / "recipe.toml"))
    assert recipe.data.target == "y"
    assert kdexport.read_table(str(csv_path)).n_rows == 600
    assert kdexport.open_session(str(bundle_path / "student.onnx")).name == "student.onnx"
    assert kdexport.load_bundle(str(bundle_path)).path == bundle_path
    for make in (kdexport.run, partial(search, limits=Limits())):
        with pytest.raises(kdexport.KdexportError, match="an output that exists is kept"):
            make(recipe, str(bundle_path))
