"""Nested mappings of plain values: written as TOML, compared, and changed by dotted keys.

Imports `errors` and the standard library only.
"""

import json
from collections.abc import Mapping
from typing import Any

from kdexport.errors import RecipeError


def write_toml(values: Mapping[str, Any], *, section: str = "") -> str:
    """Return nested mappings as TOML, in their own order (the standard library only reads it).

    Args:
        values: Texts, numbers, booleans, lists of them, and mappings of the same.
        section: Dotted name of the section that they stand in; empty for the whole file.
    """
    plain = {key: value for key, value in values.items() if not isinstance(value, dict)}
    lines = [f"[{section}]"] if section else []
    lines += [f"{key} = {_write_value(value)}" for key, value in plain.items()]
    text = "\n".join(lines) + "\n"
    for key, value in values.items():
        if isinstance(value, dict):
            text += "\n" + write_toml(value, section=f"{section}.{key}" if section else key)
    return text


def _write_value(value: Any) -> str:
    """JSON's text for strings, numbers, lists and booleans is TOML's too, but for two things: TOML
    knows no pairs of surrogates, and wants U+007F escaped.
    """
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def find_differences(value: Mapping[str, Any], default: Mapping[str, Any]) -> dict[str, Any]:
    """Return what differs from a default that has every key, as deep as mappings go."""
    changed: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(item, dict):
            if inner := find_differences(item, default[key]):
                changed[key] = inner
        elif item != default[key]:
            changed[key] = item
    return changed


def set_dotted(values: dict[str, Any], key: str, value: Any) -> None:
    """Set the value of a dotted key such as `teacher.n_members`, in place.

    Raises:
        RecipeError: What should be a section is a value.
    """
    *sections, name = key.split(".")
    for section in sections:
        inner = values.setdefault(section, {})
        if not isinstance(inner, dict):
            raise RecipeError(
                f"the recipe's {section} is a section",
                found=f"the value {inner!r}",
                cure=f"write it as [{section}]",
            )
        values = inner
    values[name] = value
