"""What makes a run's figures noisy, and what would help.

Takes what was measured and where, gives notes; each says what was seen and names a remedy.
"""

from collections.abc import Sequence

from kdexport.evidence.compare import bound_noise
from kdexport.evidence.latency_facts import LatencyFact, MachineFact, RatioFact

BUSY_CORES = 0.5  # by other processes
MAX_CHANCE_RATIO = 1.05  # between two sessions of one file
MIN_CPU_SHARE = 0.9


def find_noise(
    machine: MachineFact,
    rows: Sequence[LatencyFact],
    ratios: Sequence[RatioFact],
    busy_cores: float | None,
) -> list[str]:
    """Return what makes the figures noisy, each with the remedy; nothing of a quiet run.

    Args:
        machine: Where the run was made.
        rows: What it measured.
        ratios: Its comparisons, A/A among them (their `noise` is None).
        busy_cores: Cores that other processes kept busy when it began, None where unknown.
    """
    return [*_find_machine_noise(machine, rows, busy_cores), *_find_measured_noise(rows, ratios)]


def _find_machine_noise(
    machine: MachineFact, rows: Sequence[LatencyFact], busy_cores: float | None
) -> list[str]:
    n_threads = max(row.threads for row in rows)
    notes = []
    if busy_cores is not None and busy_cores > BUSY_CORES:
        notes.append(
            f"other processes kept {busy_cores:.1f} cores busy before the run: "
            "stop them, or give this process cores of its own (taskset -c)"
        )
    if machine.core_quota is not None and machine.core_quota < n_threads:
        notes.append(
            f"the container may use {machine.core_quota:g} cores for {n_threads} threads and is "
            "paused when it uses more: raise its CPU limit, or lower --threads"
        )
    if n_threads > machine.cores_allowed:
        notes.append(
            f"{n_threads} threads share {machine.cores_allowed} cores: lower --threads, or allow "
            "more cores"
        )
    if machine.governor not in (None, "performance"):
        notes.append(
            f"the CPU's clock follows the load (governor {machine.governor}): "
            "cpupower frequency-set -g performance"
        )
    return notes


def _find_measured_noise(rows: Sequence[LatencyFact], ratios: Sequence[RatioFact]) -> list[str]:
    notes = []
    same = [ratio for ratio in ratios if ratio.noise is None]
    worst = max(same, key=lambda fact: bound_noise(fact.ratio), default=None)
    if worst is not None and bound_noise(worst.ratio) > MAX_CHANCE_RATIO:
        notes.append(
            f"at batch {worst.batch:,} the same file differs from itself by up to "
            f"{100 * (bound_noise(worst.ratio) - 1):.0f} %, smaller differences cannot be seen: "
            "raise --seconds, or use a quieter machine"
        )
    files = [row.cpu_share for row in rows if row.path != "call"]  # a function may wait by itself
    share = sum(files) / len(files) if files else 1.0
    if share < MIN_CPU_SHARE:
        notes.append(
            f"the process had a core for only {100 * share:.0f} % of the time: stop other "
            "processes, or give this one cores of its own (taskset -c)"
        )
    return notes
