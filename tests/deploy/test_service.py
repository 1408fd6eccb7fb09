"""The service of `--python`, under uvicorn on loopback."""

from collections.abc import Iterator

import pytest

from benchmarks.servers import answers_of_rows, find_port
from tests.deploy.conftest import (
    Packs,
    assert_golden,
    find_python,
    post,
    read_json,
    run_python,
    serve,
)

pytestmark = pytest.mark.deploy
ALONE = "import importlib.util as u; print([n for n in ('torch', 'kdexport') if u.find_spec(n)])"


@pytest.fixture(scope="module")
def address(packs: Packs) -> Iterator[str]:
    """Start it by the command of its README, on a port of its own."""
    folder, port = packs.folder("python"), find_port()
    assert "uvicorn service:app --port 8000" in (folder / "README.md").read_text()
    command = [str(find_python("servers").with_name("uvicorn")), "service:app"]
    command += ["--port", str(port), "--log-level", "warning"]
    with serve("servers", command, folder, port=port, ready="/health") as started:
        yield started


def test_golden_rows(packs: Packs, address: str) -> None:
    """In one batch and alone, rows get the trained model's answers; no torch, no kdexport."""
    folder = packs.folder("python")
    rows = read_json(folder / "golden/rows.json")
    assert run_python("servers", "-c", ALONE, cwd=folder).strip() == "[]"
    status, answers = post(f"{address}/rows", rows)
    assert status == 200
    assert_golden(packs.packable, answers_of_rows(packs.packable, answers))
    alone = [post(f"{address}/row", row) for row in rows]
    assert {status for status, _ in alone} == {200}
    assert_golden(packs.packable, answers_of_rows(packs.packable, [row for _, row in alone]))
    assert post(f"{address}/rows", []) == (200, [])


def test_bad_input(packs: Packs, address: str) -> None:
    """A cell that its column cannot hold, or an absent column: 422, and the column is named."""
    signature = packs.packable.signature
    row = read_json(packs.folder("python") / "golden/rows.json")[0]
    for name in (signature.columns[0], signature.columns[-1]):
        status, answer = post(f"{address}/row", {**row, name: ["a", "list"]})
        assert status == 422
        assert answer["detail"][0]["loc"][-1] == name
        lacking = {key: cell for key, cell in row.items() if key != name}
        status, answer = post(f"{address}/rows", [row, lacking])
        assert status == 422
        assert answer["detail"][0]["loc"] == ["body", 1, name]
    assert post(f"{address}/row", {**row, signature.numeric[0]: "many"})[0] == 422
    assert post(f"{address}/row", b"{not json")[0] == 422
    assert post(f"{address}/row", b"\xff")[0] == 400
    for odd in ({signature.numeric[0]: [float("nan")]}, {"other": float("nan")}):  # Python's JSON
        status, answer = post(f"{address}/row", {**dict(list(row.items())[1:]), **odd})
        assert status == 422
        assert answer["detail"][0]["loc"] == ["body", signature.columns[0]]
    for name in signature.columns:
        assert post(f"{address}/row", {**row, name: "\ud800"})[0] == 422
    assert post(f"{address}/row", {**row, "other": 1})[0] == 200


def test_dates(packs: Packs, address: str) -> None:
    """A date in ISO form is the same as its days; a time of no zone is UTC."""
    row = read_json(packs.folder("python") / "golden/rows.json")[0]
    dates = [name for name, kind in packs.packable.signature.kinds.items() if kind == "date"]
    for name in dates:
        days = post(f"{address}/row", {**row, name: 20484.5})
        assert days[0] == 200
        for text in ("2026-01-31T12:00:00", "2026-01-31T12:00:00Z", "2026-01-31T13:00:00+01:00"):
            assert post(f"{address}/row", {**row, name: text}) == days
        assert post(f"{address}/row", {**row, name: "2020-01-31"}) != days
        status, answer = post(f"{address}/row", {**row, name: "soon"})
        assert (status, answer["detail"][0]["loc"]) == (422, ["body", name])
