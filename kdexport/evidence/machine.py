"""Where a measurement was made: CPU, cores, limits, versions, load, memory.

Takes what the system says of itself (Linux's /proc and /sys; elsewhere most of it is None), gives
a `MachineFact`. No host names, no paths.
"""

import contextlib
import ctypes
import os
import platform
import re
import time
from pathlib import Path

import numpy as np

from kdexport.cores import count_cores
from kdexport.evidence.latency_facts import MachineFact
from kdexport.runtime import describe_runtime

# The instruction sets that decide how fast a product of matrices is.
FLAG_PREFIXES = ("avx", "amx", "fma", "sse4", "f16c", "asimd", "sve", "bf16", "i8mm")
QUOTA = re.compile(r"(\d+) ([1-9]\d*)")  # microseconds; max or -1 is no limit
RESIDENT, PEAK = "VmRSS", "VmHWM"
WATCHED = 0.25  # seconds: 25 ticks of a core
# user, nice, system, idle, iowait, irq, softirq, steal; the guests' after them are in user's.
N_TICK_FIELDS, FIRST_IDLE, LAST_IDLE = 8, 3, 4


def describe_machine(root: Path = Path("/")) -> MachineFact:
    """Return what decides how fast this machine is.

    Args:
        root: Where `proc` and `sys` are; a test passes its own.
    """
    cpu = _read_pairs(root / "proc/cpuinfo")
    flags = (cpu.get("flags") or cpu.get("Features") or "").split()
    return MachineFact(
        system=f"{platform.system()} {platform.machine()}",
        cpu=cpu.get("model name") or platform.processor() or platform.machine(),
        cpu_flags=tuple(sorted(flag for flag in flags if flag.startswith(FLAG_PREFIXES))),
        cores_allowed=count_cores(),
        core_quota=_read_quota(root),
        memory_limit_bytes=_read_memory_limit(root),
        governor=_read_text(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        python=platform.python_version(),
        numpy=np.__version__,
        runtime=describe_runtime(),
    )


def read_load() -> float | None:
    """Return the machine's load average of the last minute."""
    try:
        return os.getloadavg()[0]
    except (OSError, AttributeError):
        return None


def watch_busy_cores(seconds: float = WATCHED, root: Path = Path("/")) -> float | None:
    """Return how many of the cores that this process may use others keep busy.

    Watched while this process does nothing: the load average counts it, and what it did before.
    """
    before = _read_core_times(root)
    time.sleep(seconds)
    after = _read_core_times(root)
    whole, idle = (
        np.array([after[core][i] - before[core][i] for core in before.keys() & after.keys()])
        for i in (0, 1)
    )
    passed = whole > 0
    return float((1 - idle[passed] / whole[passed]).sum()) if passed.any() else None


def _read_core_times(root: Path) -> dict[str, tuple[int, int]]:
    """Ticks of every allowed core by now: all of them, and those it had nothing to do in."""
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else ()
    names = {f"cpu{i}" for i in allowed}
    times = {}
    for line in (_read_text(root / "proc/stat") or "").splitlines():
        name, *fields = line.split() or [""]
        ticks = [int(field) for field in fields[:N_TICK_FIELDS] if field.isdigit()]
        if name in names and len(ticks) > LAST_IDLE:
            times[name] = (sum(ticks), sum(ticks[FIRST_IDLE : LAST_IDLE + 1]))
    return times


def read_memory_bytes(field: str, root: Path = Path("/")) -> int | None:
    """Return this process's resident memory (`VmRSS`) or its peak (`VmHWM`)."""
    text = _read_pairs(root / "proc/self/status").get(field)
    return int(text.split()[0]) * 1024 if text else None


def reset_peak_memory(root: Path = Path("/")) -> bool:
    """Give freed memory back and start the peak anew; returns whether the system can do that.

    Without the former, what a candidate adds would hide in what others have left.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    with contextlib.suppress(OSError):
        (root / "proc/self/clear_refs").write_text("5")
        return True
    return False


def _read_text(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None


def _read_pairs(path: Path) -> dict[str, str]:
    """Read `name : value` lines; the first of a name counts."""
    pairs: dict[str, str] = {}
    for line in (_read_text(path) or "").splitlines():
        name, _, value = line.partition(":")
        pairs.setdefault(name.strip(), value.strip())
    return pairs


def _cgroup_folders(root: Path, controller: str) -> list[Path]:
    """Folders of this process's control group and its parents, version 2 or 1."""
    for line in (_read_text(root / "proc/self/cgroup") or "").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        is_unified = number == "0" and (root / "sys/fs/cgroup/cgroup.controllers").exists()
        if is_unified or controller in controllers.split(","):
            base = root / "sys/fs/cgroup" / ("" if is_unified else controller)
            own = base / path.strip("/")
            return [own, *(parent for parent in own.parents if parent.is_relative_to(base))]
    return []


def _read_quota(root: Path) -> float | None:
    """The fewest cores that any enclosing control group grants, or None for no limit."""
    quotas = []
    for folder in _cgroup_folders(root, "cpu"):
        old = (_read_text(folder / f"cpu.cfs_{n}_us") for n in ("quota", "period"))
        pair = QUOTA.fullmatch(_read_text(folder / "cpu.max") or " ".join(map(str, old)))
        if pair:
            quotas.append(int(pair[1]) / int(pair[2]))
    return min(quotas, default=None)


def _read_memory_limit(root: Path) -> int | None:
    names = ("memory.max", "memory.limit_in_bytes")
    texts = [_read_text(f / name) for f in _cgroup_folders(root, "memory") for name in names]
    limits = [int(text) for text in texts if text and text.isdigit()]
    return min((limit for limit in limits if limit < 1 << 60), default=None)
