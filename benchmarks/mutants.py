"""Damage bundles in every way on the list, and make clean ones: the gate stops all and only those.

Usage: python -m benchmarks.mutants [--clean N]     writes benchmarks/results/mutants.json
"""

import argparse
import itertools
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from benchmarks.bundles import Kind, make_bundle
from benchmarks.damage import Damage, Draft
from benchmarks.mutation_table import (
    BUNDLE_MUTATIONS,
    MIXED_MUTATIONS,
    MODEL_MUTATIONS,
    NUMERIC_MUTATIONS,
    Named,
)
from benchmarks.record import make_claim, write_result
from kdexport.bundle import read_bundle
from kdexport.evidence.checks import check_bundle
from kdexport.records import CheckResult

MUTATIONS: dict[Kind, list[Named]] = {
    "numeric": [MODEL_MUTATIONS, BUNDLE_MUTATIONS, NUMERIC_MUTATIONS],
    "mixed": [MODEL_MUTATIONS, BUNDLE_MUTATIONS, MIXED_MUTATIONS],
}
ASKED_MUTANTS, ASKED_CLEAN = 40, 50


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clean", type=int, default=ASKED_CLEAN, help="clean bundles to make")
    n_clean = parser.parse_args().clean
    with tempfile.TemporaryDirectory() as folder:
        rows = list(check_mutants(Path(folder)))
        clean = list(check_clean(Path(folder), n_clean))
    n_caught = sum(row["caught"] for row in rows)
    n_named = sum(row["named"] for row in rows)
    alarms = sum(bool(row["failed"]) for row in clean)
    claims = [
        make_claim("damaged files", len(rows), unit="files", target=ASKED_MUTANTS, at_least=True),
        make_claim("caught", n_caught / len(rows), unit="share", target=1, at_least=True),
        make_claim(
            "caught by the right check, in the right words",
            n_named / len(rows),
            unit="share",
            target=1,
            at_least=True,
        ),
        make_claim("clean bundles", n_clean, unit="bundles", target=ASKED_CLEAN, at_least=True),
        make_claim("false alarms", alarms, unit="bundles", target=0, at_least=False),
    ]
    command = f"python -m benchmarks.mutants --clean {n_clean}"
    print(write_result("mutants", command, [*rows, *clean], claims))
    for claim in claims:
        print(f"{claim['name']}: {claim['value']:g} {claim['unit']}, met: {claim['met']}")
    for row in [row for row in rows if not row["named"]]:
        print(f"NOT NAMED: {row['kind']}, {row['mutation']}: {row['asked']}; {row['failed']}")
    for row in [row for row in clean if row["failed"]]:
        print(f"FALSE ALARM: {row['kind']}, seed {row['seed']}: {row['failed']}")
    return 0 if all(claim["met"] for claim in claims) else 1


def check_mutants(folder: Path) -> Iterator[dict[str, Any]]:
    """Damage a bundle of each kind in every way; say which checks fail."""
    for kind, groups in MUTATIONS.items():
        whole = Draft.read(make_bundle(kind, 0, folder / kind))
        for group in groups:
            for asked, named in group.items():
                for name, (damage, word) in named.items():
                    failed = check_damaged(whole, damage, folder / f"{kind} {name}")
                    right = [r for r in failed if r.name == asked and word in r.message]
                    yield {
                        "kind": kind,
                        "mutation": name,
                        "asked": asked,
                        "caught": bool(failed),
                        "named": bool(right),
                        "message": (right or failed or [CheckResult("", True, "")])[0].message,
                        "failed": [result.name for result in failed],
                    }


def check_damaged(whole: Draft, damage: Damage, path: Path) -> list[CheckResult]:
    """Write a damaged copy and return the checks that fail on it."""
    draft = whole.copy()
    damage(draft)
    draft.write(path)
    return [result for result in check_bundle(read_bundle(path)) if not result.passed]


def check_clean(folder: Path, n_bundles: int) -> Iterator[dict[str, Any]]:
    """Make bundles of every kind and of different seeds; return what fails on them."""
    kinds = itertools.cycle(get_args(Kind))
    for seed, kind in zip(range(1, n_bundles + 1), kinds, strict=False):
        bundle = read_bundle(make_bundle(kind, seed, folder / "clean"))
        start = time.perf_counter()
        failed = [result.name for result in check_bundle(bundle) if not result.passed]
        seconds = round(time.perf_counter() - start, 3)
        yield {"kind": kind, "seed": seed, "failed": failed, "check_seconds": seconds}


if __name__ == "__main__":
    sys.exit(main())
