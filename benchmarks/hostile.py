"""Files that were made to do harm, or that a disk damaged, and what each command makes of them.

Takes a good bundle, gives named files beside a secret that lies outside them. Every command has
to end with one line and its exit code, in bounded memory, touching nothing and telling no secret.
Used by `tests/faults` and by `benchmarks/faults.py`.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import polars as pl
from onnx import TensorProto, helper, numpy_helper

from benchmarks.stops import CODE, QUICK, ROOT
from kdexport.bundle import hash_bytes
from kdexport.pipeline import run
from kdexport.recipe import read_recipe

SECRET = b"kdexport-secret-0123456789abcdef"
MAX_MB = 2048  # of a command on a hostile file, whatever the file says
MAX_S = 120.0
MB, GB = 2**20, 2**30

TELLING = (
    """
import atexit, pathlib, sys
path = pathlib.Path(sys.argv.pop(1))
atexit.register(lambda: path.write_text(pathlib.Path("/proc/self/status").read_text()))
"""
    + CODE
)

Make = Callable[["Ground"], list[str]]


@dataclass(frozen=True)
class Attack:
    """One command on one file.

    Attributes:
        kind: What is attacked.
        name: How.
        make: Makes the file, returns the command's arguments.
        codes: Exit codes that are right.
    """

    kind: str
    name: str
    make: Make
    codes: tuple[int, ...] = (3,)


@dataclass(frozen=True)
class Verdict:
    """What a command made of an attack; no faults where all is well."""

    kind: str
    name: str
    code: int
    peak_mb: float
    said: str
    faults: tuple[str, ...]


class Ground:
    """A folder for one attack: a copy of the good bundle, a table, and a secret outside of both."""

    def __init__(self, folder: Path, bundle: Path, work: Path) -> None:
        self.outside = folder / "outside"
        self.inside = folder / "inside"
        self.outside.mkdir()
        self.inside.mkdir()
        self.secret = self.outside / "secret.bin"
        self.secret.write_bytes(SECRET * 4096)
        self.bundle, self.work = self.inside / "bundle", self.inside / "work"
        shutil.copytree(bundle, self.bundle)
        shutil.copytree(work, self.work)
        self.student = self.bundle / "student.onnx"
        self.answers = self.inside / "answers.csv"

    def file(self, name: str, content: bytes | str) -> Path:
        path = self.inside / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def sparse(self, name: str, n_bytes: int, head: bytes = b"") -> Path:
        """A file that claims many bytes and takes few."""
        path = self.file(name, head)
        os.truncate(path, n_bytes)
        return path

    def table(self) -> Path:
        return self.file("table.csv", "a,b,c\n1,2,p\n0.5,1,q\n")

    def edit_model(self, change: Callable[[onnx.ModelProto], Any]) -> None:
        model = onnx.load_from_string(self.student.read_bytes())
        change(model)
        self.student.write_bytes(model.SerializeToString())

    def edit_evidence(self, change: Callable[[dict[str, Any]], Any]) -> None:
        path = self.bundle / "evidence.json"
        evidence = json.loads(path.read_text())
        change(evidence)
        path.write_text(json.dumps(evidence))


def on_model(change: Callable[[onnx.ModelProto, Ground], Any], command: str) -> Make:
    """Change the student's file and run a command on it."""

    def make(ground: Ground) -> list[str]:
        ground.edit_model(lambda model: change(model, ground))
        return ask(command, ground)

    return make


def ask(command: str, ground: Ground) -> list[str]:
    """Return a command on the ground's student."""
    rest = {
        "predict": [str(ground.table()), "-o", str(ground.answers)],
        "bench": ["--seconds", "0.05", "--batch", "1"],
    }
    return [command, str(ground.student), *rest.get(command, [])]


def point_outside(way: str) -> Callable[[onnx.ModelProto, Ground], None]:
    """Let a weight lie in a file outside of the model's folder."""

    def change(model: onnx.ModelProto, ground: Ground) -> None:
        tensor = next(t for t in model.graph.initializer if t.data_type == TensorProto.FLOAT)
        locations = {"relative": "../../outside/secret.bin", "absolute": str(ground.secret)}
        if way == "symlink":
            (ground.bundle / "weights.bin").symlink_to(ground.secret)
        n_bytes = 4 * int(np.prod(tensor.dims))
        tensor.ClearField("raw_data")
        tensor.ClearField("float_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (
            ("location", locations.get(way, "weights.bin")),
            ("offset", "0"),
            ("length", str(n_bytes)),
        ):
            tensor.external_data.add(key=key, value=value)

    return change


def declare_huge(model: onnx.ModelProto, _: Ground) -> None:
    tensor = next(t for t in model.graph.initializer if t.data_type == TensorProto.FLOAT)
    tensor.ClearField("raw_data")
    tensor.ClearField("dims")
    tensor.dims.extend([2**29])


def grow_at_load(model: onnx.ModelProto, _: Ground) -> None:
    """A few bytes that constant folding turns into 16 GB."""
    model.graph.initializer.append(numpy_helper.from_array(np.array([2**32]), "size"))
    model.graph.node.insert(0, helper.make_node("ConstantOfShape", ["size"], ["grown"]))
    model.graph.output.append(helper.make_tensor_value_info("grown", TensorProto.FLOAT, [None]))


def grow_by_tile(model: onnx.ModelProto, _: Ground) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(2, np.float32), "seed"))
    model.graph.initializer.append(numpy_helper.from_array(np.array([2**31]), "times"))
    model.graph.node.insert(0, helper.make_node("Tile", ["seed", "times"], ["grown"]))
    model.graph.output.append(helper.make_tensor_value_info("grown", TensorProto.FLOAT, [None]))


def nest(model: onnx.ModelProto, _: Ground, depth: int = 90) -> None:
    """If in If in If."""
    inner = helper.make_graph(
        [helper.make_node("Identity", ["flag"], ["y"])],
        "g",
        [],
        [helper.make_tensor_value_info("y", TensorProto.BOOL, [])],
    )
    for _level in range(depth // 3):
        node = helper.make_node("If", ["flag"], ["y"], then_branch=inner, else_branch=inner)
        inner = helper.make_graph(
            [node], "g", [], [helper.make_tensor_value_info("y", TensorProto.BOOL, [])]
        )
        if inner.ByteSize() > MB:
            break
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "flag"))
    model.graph.node.extend(inner.node)


def recurse_function(model: onnx.ModelProto, _: Ground) -> None:
    """A function that calls itself."""
    opsets = [helper.make_opsetid("own", 1)]
    node = helper.make_node("Self", ["x"], ["y"], domain="own")
    model.functions.append(helper.make_function("own", "Self", ["x"], ["y"], [node], opsets))
    model.opset_import.append(opsets[0])
    first = model.graph.input[0].name
    model.graph.node.append(helper.make_node("Self", [first], ["again"], domain="own"))


def add_custom(model: onnx.ModelProto, _: Ground) -> None:
    model.opset_import.append(helper.make_opsetid("com.attacker", 1))
    first = model.graph.input[0].name
    model.graph.node.append(helper.make_node("Run", [first], ["z"], domain="com.attacker"))
    model.graph.output.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, None))


def set_metadata(key: str, value: str) -> Callable[[onnx.ModelProto, Ground], None]:
    def change(model: onnx.ModelProto, _: Ground) -> None:
        for entry in model.metadata_props:
            if entry.key == f"kdexport.{key}":
                entry.value = value

    return change


def replace_student(content: bytes, command: str) -> Make:
    def make(ground: Ground) -> list[str]:
        ground.student.write_bytes(content)
        return ask(command, ground)

    return make


def big_student(command: str) -> Make:
    def make(ground: Ground) -> list[str]:
        ground.student.unlink()
        ground.sparse("bundle/student.onnx", 6 * GB, b"\x08\x08")
        return ask(command, ground)

    return make


def on_evidence(change: Callable[[dict[str, Any]], Any], command: str = "report") -> Make:
    def make(ground: Ground) -> list[str]:
        ground.edit_evidence(change)
        return [command, str(ground.bundle)]

    return make


def replace_in_bundle(name: str, content: bytes, command: str = "report") -> Make:
    def make(ground: Ground) -> list[str]:
        (ground.bundle / name).write_bytes(content)
        return [command, str(ground.bundle)]

    return make


def sparse_in_bundle(name: str, command: str = "report") -> Make:
    def make(ground: Ground) -> list[str]:
        (ground.bundle / name).unlink()
        ground.sparse(f"bundle/{name}", 6 * GB, b"{")
        return [command, str(ground.bundle)]

    return make


def name_outside(name: str) -> Make:
    """Let the evidence name a file that is none of the bundle's, by its right hash."""

    def make(ground: Ground) -> list[str]:
        shown = name.replace("SECRET", str(ground.secret))
        fact = {"sha256": hash_bytes(ground.secret.read_bytes()), "bytes": 4096 * len(SECRET)}
        if name == "link":
            (ground.bundle / name).symlink_to(ground.secret)
        ground.edit_evidence(lambda evidence: evidence["files"].update({shown: fact}))
        return ["report", str(ground.bundle)]

    return make


def golden_outside(ground: Ground) -> list[str]:
    """A golden tensor whose values lie in a file outside, its hash stated."""
    path = "golden/test_data_set_0/input_0.pb"
    tensor = TensorProto.FromString((ground.bundle / path).read_bytes())
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../outside/secret.bin")
    content = tensor.SerializeToString()
    (ground.bundle / path).write_bytes(content)
    fact = {"sha256": hash_bytes(content), "bytes": len(content)}
    ground.edit_evidence(lambda evidence: evidence["files"][path].update(fact))
    return ["check", str(ground.bundle)]


def golden_huge(ground: Ground) -> list[str]:
    path = "golden/test_data_set_0/input_0.pb"
    tensor = TensorProto.FromString((ground.bundle / path).read_bytes())
    tensor.ClearField("dims")
    tensor.dims.extend([2**40, 2**20])
    content = tensor.SerializeToString()
    (ground.bundle / path).write_bytes(content)
    fact = {"sha256": hash_bytes(content), "bytes": len(content)}
    ground.edit_evidence(lambda evidence: evidence["files"][path].update(fact))
    return ["check", str(ground.bundle)]


def on_recipe(content: bytes) -> Make:
    def make(ground: Ground) -> list[str]:
        path = ground.file("recipe.toml", content)
        return ["run", str(ground.table()), "--recipe", str(path), "-o", str(ground.inside / "o")]

    return make


def big_recipe(ground: Ground) -> list[str]:
    path = ground.sparse("recipe.toml", 6 * GB)
    return ["run", str(ground.table()), "--recipe", str(path), "-o", str(ground.inside / "o")]


def on_checkpoint(name: str, content: bytes | None) -> Make:
    """Damage a file of the work folder; None makes it claim 6 GB."""

    def make(ground: Ground) -> list[str]:
        if content is None:
            (ground.work / name).unlink()
            ground.sparse(f"work/{name}", 6 * GB, (2**40).to_bytes(8, "little"))
        else:
            (ground.work / name).write_bytes(content)
        return ["export", str(ground.work), "-o", str(ground.inside / "o")]

    return make


def on_table(name: str, content: Callable[[], bytes], command: str) -> Make:
    def make(ground: Ground) -> list[str]:
        path = ground.file(name, content())
        if command == "schema":
            return ["schema", str(path)]
        return [command, str(ground.student), str(path), "-o", str(ground.answers)]

    return make


def write_parquet() -> bytes:
    with tempfile.NamedTemporaryFile(suffix=".parquet") as file:
        frame = pl.DataFrame({"a": [1.0] * 5000, "b": list(range(5000)), "c": ["p"] * 5000})
        frame.write_parquet(file.name)
        return Path(file.name).read_bytes()


def wide_csv() -> bytes:
    names = [*"abc", *(f"x{i}" for i in range(10_000))]
    rows = [",".join(["1", "2", "p", *["0.5"] * 10_000])] * 20
    return "\n".join([",".join(names), *rows]).encode()


DEEP = 200_000
TABLES: dict[str, tuple[str, Callable[[], bytes], tuple[int, ...]]] = {
    "truncated Parquet": ("t.parquet", lambda: write_parquet()[:-100], (3,)),
    "damaged Parquet": (
        "t.parquet",
        lambda: write_parquet()[:60] + b"\xff" * 400 + write_parquet()[460:],
        (0, 3),
    ),
    "damaged Parquet footer": (
        "t.parquet",
        lambda: write_parquet()[:-60] + bytes(40) + write_parquet()[-20:],
        (0, 3),
    ),
    "Parquet's first bytes alone": ("t.parquet", lambda: b"PAR1", (3,)),
    "CSV that ends in a quoted cell": ("t.csv", lambda: b'a,b,c\n1,2,p\n1,"2', (0, 3)),
    "10,000 columns": ("t.csv", wide_csv, (0, 3)),
    "a cell of 100 MB": ("t.csv", lambda: b"a,b,c\n1,2," + b"p" * 100 * MB + b"\n", (0, 3)),
    "a header of 100 MB": ("t.csv", lambda: b"a," + b"b" * 100 * MB + b",c\n1,2,p\n", (3,)),
    "NUL bytes": ("t.csv", lambda: b"a,b,c\n1,\0\0,p\n" + bytes(1000), (3,)),
    "NUL bytes alone": ("t.csv", lambda: bytes(100_000), (3,)),
    "two encodings": ("t.csv", lambda: "a,b,c\n1,2,é\n".encode() + b"1,2,\xe9\n", (3,)),
    "UTF-16": ("t.csv", lambda: "a,b,c\n1,2,p\n".encode("utf-16"), (3,)),
    "a picture": ("t.csv", lambda: b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 100, (3,)),
}


def list_attacks() -> list[Attack]:
    """Return every attack."""
    attacks = []
    for command in ("info", "predict", "bench", "check"):
        # `check` says of a file that is there that it failed: 1.
        codes = (1, 3) if command == "check" else (3,)
        harmless = (0, 1, 3)  # where what the command answers does not depend on it
        for name, change, right in (
            ("weights in a file above", point_outside("relative"), codes),
            ("weights in a file by its whole path", point_outside("absolute"), codes),
            ("weights behind a symbolic link", point_outside("symlink"), codes),
            ("2 GB in 1 kB", declare_huge, codes),
            ("16 GB when it is loaded", grow_at_load, codes),
            ("16 GB by Tile", grow_by_tile, codes),
            ("deep nesting", nest, harmless),
            ("a function that calls itself", recurse_function, codes),
            ("a custom operator", add_custom, harmless if command == "info" else codes),
            (
                "metadata nested deeply",
                set_metadata("schema", "[" * DEEP),
                harmless if command == "bench" else codes,
            ),
            ("a recipe nested deeply", set_metadata("recipe", "[" * DEEP), harmless),
            ("a recipe that is none", set_metadata("recipe", '{"export": 3}'), harmless),
            ("evidence that is none", set_metadata("evidence", "{"), harmless),
        ):
            attacks.append(Attack("ONNX", f"{command}: {name}", on_model(change, command), right))
        for name, content in (
            ("an empty file", b""),
            ("text", b"not a model\n" * 100),
            ("a picture", b"\x89PNG\r\n\x1a\n" + bytes(1000)),
            ("a zip", b"PK\x03\x04" + bytes(1000)),
            ("nested fields", b"\x3a" * 100_000),
        ):
            attacks.append(
                Attack("ONNX", f"{command}: {name}", replace_student(content, command), codes)
            )
        attacks.append(Attack("ONNX", f"{command}: 6 GB of zeros", big_student(command), codes))
    for command in ("report", "check"):
        for name, content in (
            ("empty", b""),
            ("nested deeply", b"[" * DEEP),
            ("nested in a field", b'{"task":' + b'{"a":' * DEEP),
            ("not UTF-8", b'{"format_version": "\xff\xfe"}'),
            ("numbers of a million digits", b'{"format_version": ' + b"9" * 1_000_000 + b"}"),
        ):
            attacks.append(
                Attack(
                    "evidence.json",
                    f"{command}: {name}",
                    replace_in_bundle("evidence.json", content, command),
                )
            )
        edits: dict[str, Callable[[dict[str, Any]], Any]] = {
            "of a later version": lambda e: e.update(format_version=99),
            "slices in no metric": lambda e: e["slices"]["worst"].clear(),
            "slices that nobody counted": lambda e: e["slices"]["n_worse"].clear(),
            "no replicate of the student": lambda e: e["replicates"].pop("student"),
            "a file of 10^400 bytes": lambda e: e["files"]["student.onnx"].update(bytes=10**400),
        }
        for name, edit in edits.items():
            make = on_evidence(edit, command)
            attacks.append(Attack("evidence.json", f"{command}: {name}", make))
        attacks.append(
            Attack("evidence.json", f"{command}: 6 GB", sparse_in_bundle("evidence.json", command))
        )
    for name in ("../../outside/secret.bin", "SECRET", "link"):
        attacks.append(Attack("evidence.json", f"names {name}", name_outside(name)))
    attacks.append(Attack("golden", "values outside", golden_outside, (1, 3)))
    attacks.append(Attack("golden", "2**60 values", golden_huge, (1, 3)))
    for name, content in (
        ("nested deeply", b"a = " + b"[" * DEEP),
        ("nested tables", b"[" + b"a." * 5000 + b"b]\n"),
        ("not UTF-8", b"\xff\xfe\x00"),
        ("of a later version", b"format_version = 99\n"),
        ("a number of a million digits", b"seed = " + b"9" * 1_000_000),
        ("inf", b"[teacher]\nlearning_rate = inf\n"),
        ("nan", b"[teacher]\nlearning_rate = nan\n"),
        ("a date", b"seed = 2026-01-01\n"),
    ):
        attacks.append(Attack("recipe.toml", name, on_recipe(content), (2,)))
    attacks.append(Attack("recipe.toml", "6 GB", big_recipe, (2,)))
    for name, content in (
        ("empty", b""),
        ("a header of 2**40 bytes", (2**40).to_bytes(8, "little") + b"{}"),
        ("a header nested deeply", DEEP.to_bytes(8, "little") + b"[" * DEEP),
        ("6 GB", None),
    ):
        for file in ("teacher.safetensors", "rows.safetensors"):
            attacks.append(Attack("safetensors", f"{file}: {name}", on_checkpoint(file, content)))
    attacks.append(Attack("work", "nested", on_checkpoint("prepared.json", b"[" * DEEP)))
    for name, (file, content_of, codes) in TABLES.items():
        make = content_of if callable(content_of) else (lambda c=content_of: c)
        for command in ("predict", "schema"):
            right = (0, 3) if command == "schema" and codes == (0, 3) else codes
            if name in ("10,000 columns",) and command == "predict":
                right = (0,)
            attacks.append(
                Attack("tables", f"{command}: {name}", on_table(file, make, command), right)
            )
    return attacks


@contextmanager
def open_range() -> Iterator[Callable[[Attack], Verdict]]:
    """Make a good bundle, and give a function that tries an attack on a copy of it."""
    from benchmarks.stops import Stand

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stand = Stand(folder)
        run(read_recipe(None, {**QUICK, "data.target": "y"}), folder / "bundle", data=stand.data)

        def attempt(attack: Attack) -> Verdict:
            with tempfile.TemporaryDirectory(dir=folder) as place:
                ground = Ground(Path(place), folder / "bundle", stand.work)
                return _try(attack, ground)

        yield attempt


@contextmanager
def try_attacks(attacks: Sequence[Attack]) -> Iterator[list[Future[Verdict]]]:
    """Try attacks, as many at a time as there are cores, until the block is left."""
    with open_range() as attempt:
        pool = ThreadPoolExecutor(len(os.sched_getaffinity(0)))
        try:
            yield [pool.submit(attempt, attack) for attack in attacks]
        finally:
            pool.shutdown(cancel_futures=True)


def _try(attack: Attack, ground: Ground) -> Verdict:
    arguments = attack.make(ground)
    before = _list_files(ground.outside.parent)
    temporary = ground.outside / "tmp"
    temporary.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", TELLING, str(ground.outside / "peak"), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=(ground.outside / "stdout").open("wb"),
        stderr=(ground.outside / "stderr").open("wb"),
        cwd=ground.inside,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(temporary)},
    )
    _limit(process.pid)
    code = process.wait()
    peak_mb = _read_peak_mb(ground.outside / "peak")
    said = (ground.outside / "stderr").read_bytes()
    shown = (ground.outside / "stdout").read_bytes()
    lines = [line for line in said.decode(errors="replace").splitlines() if line]
    faults = []
    if code not in attack.codes:
        faults.append(f"exit code {code}, not {attack.codes}")
    errors = [line for line in lines if not line.startswith(("warning: ", "note: "))]
    if code in (2, 3) and (len(errors) != 1 or not errors[0].startswith("error: ")):
        faults.append(f"{len(errors)} lines")
    if b"Traceback" in said:
        faults.append("a traceback")
    if any(len(line) > 2000 for line in lines):
        faults.append(f"a line of {max(map(len, lines))} characters")
    if peak_mb > MAX_MB:
        faults.append(f"{peak_mb:.0f} MB")
    answers = ground.answers.read_bytes() if ground.answers.exists() else b""
    if any(SECRET in text for text in (said, shown, answers)):
        faults.append("told the secret")
    made = _list_files(ground.outside.parent) - before
    ours = {"outside/stdout", "outside/stderr", "outside/tmp", "outside/peak"}
    if strange := {path for path in made if path not in ours and not path.startswith("inside/")}:
        faults.append(f"made {sorted(strange)}")
    if code in (2, 3) and (left := {path for path in made if path.startswith("inside/")}):
        faults.append(f"left {sorted(left)}")
    return Verdict(
        attack.kind, attack.name, code, round(peak_mb, 1), " | ".join(lines)[:400], tuple(faults)
    )


def _read_peak_mb(path: Path) -> float:
    """Peak resident memory that a command wrote down at its end; all of it where it could not."""
    lines = path.read_text().splitlines() if path.exists() else []
    return next((int(line.split()[1]) / 1024 for line in lines if "VmHWM" in line), float("inf"))


def _limit(pid: int) -> None:
    """What does not end, or wants all memory, is ended: and counts as a fault."""
    resource.prlimit(pid, resource.RLIMIT_CPU, (int(MAX_S), int(MAX_S)))
    resource.prlimit(pid, resource.RLIMIT_AS, (40 * GB, 40 * GB))


def _list_files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}
