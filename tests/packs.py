"""Packs without their servers: what a service and a predictor do with what they are asked."""

import importlib.util
import json
import sys
import types
from pathlib import Path
from typing import Any

import pydantic
import pytest

from kdexport.bundle import read_bundle
from kdexport.deploy.model import Form, prepare_model
from kdexport.deploy.packs import TARGETS
from kdexport.deploy.targets import Target


class Routes:
    """Stands for a FastAPI, whose functions are called as they are."""

    def __init__(self, **_: Any) -> None:
        pass

    def note(self, _: Any) -> Any:
        return lambda function: function

    get = post = exception_handler = note


def respond(content: Any, status_code: int = 200) -> tuple[int, Any]:
    """Stand for a JSONResponse, which writes nothing that JSON does not have."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False).encode()
    return status_code, json.loads(text)


def write_pack(bundle: Path, target: Target, folder: Path) -> Path:
    """Write a pack of a bundle's student, without its check."""
    form = Form()
    packable = prepare_model(read_bundle(bundle), "student.onnx", form, name="x", passed_check=True)
    for name, content in TARGETS[target](packable).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def load_code(path: Path, patch: pytest.MonkeyPatch, **packages: dict[str, Any]) -> Any:
    """Import a pack's code beside packages that stand for those that are not installed."""
    for name, names in packages.items():
        module = types.ModuleType(name.replace("_", "."))
        vars(module).update(names)
        patch.setitem(sys.modules, module.__name__, module)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def load_service(folder: Path, patch: pytest.MonkeyPatch) -> Any:
    """Import the service of a pack."""
    return load_code(
        folder / "service.py",
        patch,
        fastapi={"FastAPI": Routes},
        fastapi_exceptions={"RequestValidationError": pydantic.ValidationError},
        fastapi_responses={"JSONResponse": respond},
    )
