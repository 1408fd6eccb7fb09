"""What every benchmark script writes: one JSON per script, in one shape."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def write_result(
    name: str,
    command: str,
    rows: Sequence[Mapping[str, Any]],
    claims: Sequence[Mapping[str, Any]],
    **environment: Any,
) -> Path:
    """Write `results/NAME.json` and return its path."""
    result = {
        "name": name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "environment": {
            "python": platform.python_version(),
            "machine": platform.machine(),
            "cores": os.cpu_count(),
            **{package: version(package) for package in ("torch", "onnxruntime", "numpy")},
            **environment,
        },
        "command": command,
        "rows": list(rows),
        "claims": list(claims),
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    return path


def make_claim(
    name: str,
    value: float,
    *,
    unit: str,
    target: float,
    at_least: bool,
    low: float | None = None,
    high: float | None = None,
) -> dict[str, Any]:
    """Return one claim, met or not; without an interval its bounds are the value itself."""
    return {
        "name": name,
        "value": value,
        "low": value if low is None else low,
        "high": value if high is None else high,
        "unit": unit,
        "target": target,
        "met": bool(value >= target if at_least else value <= target),
    }
