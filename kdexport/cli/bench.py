"""The command `bench`: latency of bundles and ONNX files, and whether it got worse."""

import math
import re
from functools import partial
from pathlib import Path
from warnings import warn

import click

from kdexport.cli.options import PATH, FiniteRange, show_progress
from kdexport.cli.outputs import GuardedCommand, json_option, refuse_unwritable, write_json
from kdexport.errors import KdexportWarning
from kdexport.sections import MAX_THREADS

POSITIVE = FiniteRange(0, min_open=True)
MAX_LOAD_SECONDS = 2.0
SECONDS_HELP = "For all sizes together; slow calls take longer, and --load comes after."
COUNT = re.compile(r"\d{1,12}")  # Python refuses to read thousands of digits


def read_counts(_: click.Context, __: click.Parameter, value: str) -> tuple[int, ...]:
    """Read whole numbers of at least 1, between commas."""
    parts = value.split(",")
    if not all(COUNT.fullmatch(part.strip()) and int(part) > 0 for part in parts):
        raise click.BadParameter(f"whole numbers of at least 1 between commas, not {value!r}")
    return tuple(dict.fromkeys(int(part) for part in parts))


def read_percent(_: click.Context, __: click.Parameter, value: str) -> float:
    """Read a share written as a percentage, such as 10%; 0.1 might be a tenth, or 0.1 %."""
    try:
        percent = float(value.removesuffix("%")) if value.endswith("%") else -1.0
    except ValueError:
        percent = -1.0
    if not 0 <= percent < math.inf:
        raise click.BadParameter(f"a percentage with its sign, such as 10%, not {value!r}")
    return percent / 100


counts_option = partial(click.option, callback=read_counts, show_default=True)


@click.command(cls=GuardedCommand)
@click.argument("paths", type=PATH, nargs=-1, required=True)
@counts_option("--batch", default="1,32,1024,4096", help="Rows per call.")
@counts_option("--threads", default="1", help="Intra-op threads.")
@click.option("--seconds", type=POSITIVE, default=15.0, show_default=True, help=SECONDS_HELP)
@click.option(
    "--load",
    "n_clients",
    type=click.IntRange(1, MAX_THREADS),
    help="Time calls of as many threads at once too, on one session, at the first --batch.",
)
@click.option("--baseline", type=PATH, help="Record of an earlier --json to compare with.")
@click.option(
    "--max-slowdown",
    callback=read_percent,
    default="10%",
    show_default=True,
    help="How much slower than --baseline a call may be.",
)
@click.option(
    "--force", is_flag=True, help="Compare across CPUs and versions too, and what both timed alone."
)
@json_option
def bench(
    paths: tuple[Path, ...],
    batch: tuple[int, ...],
    threads: tuple[int, ...],
    seconds: float,
    n_clients: int | None,
    baseline: Path | None,
    max_slowdown: float,
    force: bool,
    json_path: str | None,
) -> None:
    """Time model files beside an empty graph.

    PATHS are bundles, or ONNX files that take the same rows. The first file is timed twice: what
    differs between the two is chance. docs/latency.md says how it is measured. Exit code 1: slower
    than --baseline by more than --max-slowdown, or not all that it timed is timed again.

    \b
    Example:
      kdexport bench models/clicks --batch 1,1024
    """
    from rich.console import Console

    from kdexport.evidence.baseline import (
        check_comparable,
        compare_records,
        describe_unclear,
        find_untimed,
        read_record,
        require_common,
        require_speed,
    )
    from kdexport.evidence.latency import measure_latency
    from kdexport.evidence.load import measure_load
    from kdexport.evidence.machine import describe_machine
    from kdexport.evidence.timed import load_timed
    from kdexport.report.latency import render_latency, render_slowdowns

    refuse_unwritable(json_path)
    old = None if baseline is None else read_record(baseline)
    if old is not None and not force:
        check_comparable(old.machine, describe_machine())
    timed, feeds = load_timed(paths)
    if old is not None:
        require_common(old, timed, batch, threads)
    with show_progress() as on_progress:
        record = measure_latency(
            timed,
            feeds,
            batches=batch,
            threads=threads,
            seconds=seconds,
            on_progress=on_progress,
        )
    if n_clients is not None:
        load = [
            measure_load(
                name,
                session,
                feeds,
                batch=batch[0],
                n_clients=n,
                seconds=min(MAX_LOAD_SECONDS, seconds),
            )
            for name, session in timed.items()
            for n in sorted({1, n_clients})
        ]
        record = record.model_copy(update={"load": load})
    slowdowns = compare_records(old, record, max_slowdown=max_slowdown) if old else []
    if json_path != "-":
        Console().print(render_latency(record))
        if slowdowns:
            Console().print(render_slowdowns(slowdowns))
    write_json(record, json_path)
    untimed = find_untimed(old, record) if old else []
    if untimed and force:
        warn(f"in the baseline alone: {', '.join(untimed)}", KdexportWarning, stacklevel=1)
    if unclear := describe_unclear(slowdowns, max_slowdown=max_slowdown):
        warn(unclear, KdexportWarning, stacklevel=1)
    require_speed(slowdowns, () if force else untimed, max_slowdown=max_slowdown)
