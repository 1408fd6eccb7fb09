"""Damaged and made-up files for whatever reads files: nothing but a KdexportError may come out.

Takes small good files, changes them in ways that hypothesis draws and shrinks. Used by
`tests/test_fuzz.py` for some dozens and by `benchmarks/faults.py` for 100,000 inputs each.
"""

import contextlib
import io
import json
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kdexport.bundle import hash_bytes, load_bundle
from kdexport.cells import CsvFormat
from kdexport.cli import cli
from kdexport.errors import KdexportError
from kdexport.evidence.facts import parse_evidence
from kdexport.evidence.golden import unpack_golden
from kdexport.recipe import Recipe, read_recipe
from kdexport.streams import TableFile
from kdexport.tables import read_table

Target = Callable[[bytes], None]
SHOWN = 3

CSV_SEEDS = (
    b"a,b,y\n1,2,no\n3,4.5,yes\n,1e400,no\n",
    b'\xef\xbb\xbf"x ""q""",y\r\n"1,5",true\r\n"line\nbreak",false\r\n',
    "größe;y\n1.299,99;ja\n2026-02-31;nein\n".encode(),
    b"zip,when,y\n00501,2026-01-01T12:00:00Z,1\n,2026-01-01,0\n",
)
WORDS = [
    b'"',
    b",",
    b"\n",
    b"\r",
    b"\0",
    b"\xff",
    b"[" * 2000,
    b"9" * 5000,
    b"-1",
    b"1e999",
    b"nan",
    b"null",
    b"true",
    b"{}",
    b"[]",
    b'""',
    b"\xef\xbb\xbf",
    b"2026-02-31",
    b"99999-01-01",
    b"0x10",
    b"\xed\xa0\x80",
    b"\x80" * 20,
    b"=",
    b"PAR1",
]


@st.composite
def change_bytes(draw: st.DrawFn, seeds: tuple[bytes, ...]) -> bytes:
    """Draw a good file with up to eight changes, or bytes of no meaning."""
    content = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(0, 8))):
        start = draw(st.integers(0, len(content)))
        length = draw(st.integers(0, 12))
        way = draw(st.sampled_from(["word", "bytes", "flip", "cut", "repeat", "end"]))
        if way == "word":
            content[start : start + length] = draw(st.sampled_from(WORDS))
        elif way == "bytes":
            content[start : start + length] = draw(st.binary(max_size=12))
        elif way == "flip" and start < len(content):
            content[start] ^= 1 << draw(st.integers(0, 7))
        elif way == "cut":
            del content[start : start + length * 10]
        elif way == "repeat":
            content[start:start] = content[start : start + 40] * length
        elif way == "end":
            del content[start:]
    return bytes(content)


def fuzz(target: Target, seeds: tuple[bytes, ...], n_inputs: int) -> tuple[int, str | None]:
    """Feed a target changed files.

    Returns:
        How many there were, and what came out that is no KdexportError (None: nothing).
    """
    n_tried = 0

    @settings(
        max_examples=n_inputs,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(change_bytes(seeds))
    def feed(content: bytes) -> None:
        nonlocal n_tried
        n_tried += 1
        with warnings.catch_warnings(), contextlib.suppress(KdexportError):
            warnings.simplefilter("ignore")
            target(content)

    try:
        feed()
    except BaseException as error:  # whatever it is, it is the finding
        if isinstance(error, KeyboardInterrupt):
            raise
        return n_tried, f"{type(error).__name__}: {error}"[:300]
    return n_tried, None


@contextmanager
def open_targets(bundle: Path) -> Iterator[dict[str, tuple[Target, tuple[bytes, ...]]]]:
    """Give every target with its seeds; `bundle` is a good one."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        evidence = (bundle / "evidence.json").read_bytes()
        files = dict(load_bundle(bundle).files)
        small = folder / "bundle"
        for relative, content in {**files, "evidence.json": evidence}.items():
            (small / relative).parent.mkdir(parents=True, exist_ok=True)
            (small / relative).write_bytes(content)

        def read_csv(content: bytes) -> None:
            path = folder / "table.csv"
            path.write_bytes(content)
            read_table(path)
            file = TableFile(path, CsvFormat(separator=";", decimal=",", thousands="."))
            for _ in file.read_chunks(file.names):
                pass

        def read_toml(content: bytes) -> None:
            path = folder / "recipe.toml"
            path.write_bytes(content)
            read_recipe(path, {}).to_toml()

        def read_evidence(content: bytes) -> None:
            parse_evidence(content, "evidence.json")

        def read_bundle(content: bytes) -> None:
            """The first line says which file is replaced; its hash is stated as it is."""
            which, _, rest = content.partition(b"\n")
            names = [*files, "evidence.json"]
            changed = names[sum(which) % len(names)]
            (small / changed).write_bytes(rest)
            try:
                if changed != "evidence.json":
                    stated = json.loads(evidence)
                    stated["files"][changed]["sha256"] = hash_bytes(rest)
                    (small / "evidence.json").write_text(json.dumps(stated))
                unpack_golden(load_bundle(small).files)
            finally:
                (small / "evidence.json").write_bytes(evidence)
                if changed != "evidence.json":
                    (small / changed).write_bytes(files[changed])

        def show_info(content: bytes) -> None:
            path = folder / "student.onnx"
            path.write_bytes(content)
            with contextlib.redirect_stdout(io.StringIO()):
                cli.main(["info", str(path)], standalone_mode=False)

        tensors = tuple(b"%d\n" % i + content for i, content in enumerate(files.values()))
        yield {
            "CSV": (read_csv, CSV_SEEDS),
            "recipe": (read_toml, (Recipe().to_toml().encode(), b"seed = 1\n[data]\ntask = 'x'\n")),
            "evidence": (read_evidence, (evidence,)),
            "bundle": (read_bundle, tensors),
            "info": (show_info, (files["student.onnx"],)),
        }
