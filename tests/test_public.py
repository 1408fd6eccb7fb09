"""The public names: looked up when they are used, and known to type checkers."""

import ast
from functools import partial
from importlib import import_module
from pathlib import Path

import polars as pl
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


def test_predict_takes_what_as_table_takes(bundle_path: Path, csv_path: Path) -> None:
    """A frame, a mapping of columns and a `Table` of the same cells have the same answers."""
    session = kdexport.open_session(bundle_path / "student.onnx")
    frame = pl.read_csv(csv_path).head(5)
    wanted = kdexport.predict(session, kdexport.as_table(frame))
    for rows in (frame, frame.to_pandas(), frame.to_dict(as_series=False)):
        found = kdexport.predict(session, rows)
        assert {name: values.tolist() for name, values in found.items()} == {
            name: values.tolist() for name, values in wanted.items()
        }
    with pytest.raises(kdexport.KdexportError, match="data in memory is a frame"):
        kdexport.predict(session, [1.0, 2.0])


def test_checks_take_a_path(bundle_path: Path) -> None:
    """A bundle is checked by its path as by what was read from there."""
    bundle = kdexport.read_bundle(bundle_path)
    assert kdexport.check_parity(str(bundle_path)) == kdexport.check_parity(bundle)
    assert kdexport.check_bundle(str(bundle_path)) == kdexport.check_bundle(bundle)
    with pytest.raises(kdexport.KdexportError, match="a bundle is a folder"):
        kdexport.check_bundle(bundle_path / "absent")


def test_a_run_takes_keys(csv_path: Path, tmp_path: Path) -> None:
    """A run may be given its recipe's keys, or the path of its file."""
    (tmp_path / "recipe.toml").write_text('[data]\ntarget = "absent"\n')
    for recipe in ({"data.target": "absent"}, str(tmp_path / "recipe.toml")):
        with pytest.raises(kdexport.KdexportError, match="no column 'absent'"):
            kdexport.run(recipe, tmp_path / "x", data=csv_path)
