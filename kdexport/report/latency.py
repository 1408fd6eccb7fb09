"""A latency record for the terminal: tables that read at a glance, and what may be said.

Takes a record, gives a rich renderable. Every ratio stands at its batch size: there is no single
"times faster".
"""

import math
from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from kdexport.evidence.latency_facts import (
    FLOOR,
    PERCENTILES,
    LatencyFact,
    LatencyRecord,
    LoadFact,
    Percentile,
    RatioFact,
    SlowdownFact,
    StartFact,
    list_percentiles,
    name_percentile,
)
from kdexport.report.figures import name_difference
from kdexport.report.plain import write_plain

CAPTION = (
    "bound: through IO binding. others: p50 where the call before was another candidate's. "
    "floor+: over the empty graph, called alike. CPU: process time over wall time. Intervals: "
    "--json. rows/s: at the p50."
)
MORE_THREADS = "x2: on 2 intra-op threads."
BOUND = "bound"


def render_latency(record: LatencyRecord) -> Group:
    """Return the tables of a record: steady state, ratios, start, load; machine and notes."""
    parts: list[RenderableType] = [
        write_plain(_describe_machine(record)),
        _steady_table(record),
        _ratio_table(record.ratios),
        _start_table(record),
    ]
    if record.load:
        parts.append(_load_table(record.load))
    parts += [write_plain(f"noisy: {note}", style="bold yellow") for note in record.notes]
    return Group(*parts)


def render_slowdowns(slowdowns: Sequence[SlowdownFact]) -> Table:
    """Return what became of each candidate since the baseline."""
    table = _new_table("time over the baseline's, 99 %")
    _add_columns(table, ("batch", "candidate"), ("ratio", "99 %", "beside the floor"))
    table.add_column("")
    for fact in slowdowns:
        table.add_row(
            _setting(fact),
            _caller(fact),
            f"{fact.ratio.value:,.3f}",
            f"{fact.ratio.low:,.3f}-{fact.ratio.high:,.3f}",
            f"{fact.beside_floor.value:,.3f}",
            "slower" if fact.slower else "" if fact.within else "unclear",
        )
    return table


def _describe_machine(record: LatencyRecord) -> str:
    machine = record.machine
    line = f"{machine.cpu}, {machine.cores_allowed} cores allowed"
    if machine.core_quota is not None:
        line += f", quota {machine.core_quota:g}"
    threads = sorted({row.threads for row in record.rows})
    line += f"; onnxruntime {machine.runtime['onnxruntime']}, "
    line += f"{' and '.join(map(str, threads))} intra-op, 1 inter-op, no spinning"
    if record.load_before is not None and record.load_after is not None:
        line += f"; load {record.load_before:.1f} before, {record.load_after:.1f} after"
    return line


def _steady_table(record: LatencyRecord) -> Table:
    """One section per batch size; the second opening of the reference is in the ratios alone."""
    again = {ratio.name for ratio in record.ratios if ratio.noise is None}
    rows = [row for row in record.rows if row.name not in again]
    needed = {key: n for row in rows for key, n in row.calls_needed.items()}
    table = _new_table("microseconds per call")
    hints = [
        f"{name_percentile(key)} needs {needed[key]:,} calls."
        for key in PERCENTILES
        if key in needed
    ]
    more = [MORE_THREADS] if any(row.threads > 1 for row in rows) else []
    table.caption = " ".join([CAPTION, *more, *hints])
    columns = (*map(name_percentile, PERCENTILES), "others", "floor+", "CPU", "rows/s")
    _add_columns(table, ("batch", "candidate"), columns)
    for i, row in enumerate(rows):
        p50 = row.p50_us
        table.add_row(
            _setting(row),
            f"  {BOUND}" if row.path == "io_binding" else write_plain(row.name),
            *map(_percentile, list_percentiles(row)),
            _percentile(row.after_others_p50_us),
            "" if row.name == FLOOR else _microseconds(row.over_floor_us.value),
            f"{row.cpu_share:.0%}",
            _short(row.batch / p50.value * 1e6) if p50 else "-",
            end_section=i + 1 < len(rows) and _setting(rows[i + 1]) != _setting(row),
        )
    return table


def _ratio_table(ratios: Sequence[RatioFact]) -> Table:
    reference = ratios[0].reference if ratios else ""
    table = _new_table(f"time over that of {reference}, 99 %")
    _add_columns(table, ("batch", "candidate"), ("ratio", "99 %", "chance"))
    table.add_column("")
    for fact in ratios:
        table.add_row(
            _setting(fact),
            _caller(fact),
            f"{fact.ratio.value:,.3f}",
            f"{fact.ratio.low:,.3f}-{fact.ratio.high:,.3f}",
            f"{fact.noise:,.3f}" if fact.noise else "",
            name_difference(fact),
        )
    return table


def _start_table(record: LatencyRecord) -> Table:
    """Opening, first call, warm-up, at the smallest batch; memory at the biggest."""
    table = _new_table("before the steady state")
    columns = ("open us", "first call us", "warm-up calls", "memory MB", "peak MB")
    _add_columns(table, ("candidate",), columns)
    memory = {fact.name: fact for fact in record.memory}
    smallest = min((start.batch, start.threads) for start in record.starts)
    said = [f"medians at batch {smallest[0]:,}"]
    said += [f"memory: added at batch {m.batch:,}" for m in record.memory[:1]]
    table.caption = "; ".join(said)
    for start in record.starts:
        if (start.batch, start.threads) != smallest:
            continue
        fact = memory.get(start.name)
        grown = (
            [f"{n / 1e6:z.1f}" for n in (fact.growth_bytes, fact.peak_growth_bytes)]
            if fact
            else ["-", "-"]
        )
        table.add_row(
            write_plain(start.name),
            _middle(start.open_us),
            _middle(start.first_call_us),
            _warm_up(start),
            *grown,
        )
    return table


def _load_table(load: Sequence[LoadFact]) -> Table:
    table = _new_table("client threads on one session of 1 intra-op thread, microseconds")
    table.caption = "each calls again when it has its answer"
    columns = ("clients", "calls/s", *map(name_percentile, PERCENTILES))
    _add_columns(table, ("batch", "candidate"), columns)
    for fact in load:
        table.add_row(
            f"{fact.batch:,}",
            write_plain(fact.name),
            str(fact.clients),
            f"{fact.calls_per_second:,.0f}",
            *map(_percentile, list_percentiles(fact)),
        )
    return table


def _new_table(title: str) -> Table:
    shown = write_plain(title, style="table.title")
    return Table(title=shown, box=box.SIMPLE_HEAD, padding=0, pad_edge=False)


def _add_columns(table: Table, left: Sequence[str], right: Sequence[str]) -> None:
    for name in left:
        table.add_column(name, overflow="fold")  # where the terminal is narrow, names give way
    for name in right:
        table.add_column(name, justify="right", no_wrap=True)


def _setting(fact: LatencyFact | RatioFact | SlowdownFact) -> str:
    return f"{fact.batch:,}" + (f" x{fact.threads}" if fact.threads > 1 else "")


def _caller(fact: RatioFact | SlowdownFact) -> Text:
    return write_plain(f"{fact.name} {BOUND}" if fact.path == "io_binding" else fact.name)


def _percentile(found: Percentile | None) -> str:
    return _microseconds(found.value) if found else "-"


def _microseconds(value: float) -> str:
    return f"{value:z,.1f}" if abs(value) < 100 else f"{value:,.0f}"


def _short(value: float) -> str:
    """Three digits, such as 7.09M."""
    power = max(0, min(2, int(math.log10(max(value, 1)) // 3)))
    return f"{value / 1000**power:.3g}{('', 'k', 'M')[power]}"


def _warm_up(start: StartFact) -> str:
    return f"{start.warm_up_calls}" + ("" if start.steady_share == 1 else " (not steady)")


def _middle(values: Sequence[float]) -> str:
    ordered = sorted(values)
    return f"{ordered[len(ordered) // 2]:,.0f}" if ordered else "-"
