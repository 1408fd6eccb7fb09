"""What a record says of its machine, read from a system that the test writes."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from kdexport.evidence.machine import describe_machine, watch_busy_cores
from kdexport.evidence.noise import find_noise
from tests.evidence.records import MACHINE, make_record

V2 = {"proc/self/cgroup": "0::/pod/box\n", "sys/fs/cgroup/cgroup.controllers": "cpu memory"}
V1 = {"proc/self/cgroup": "4:memory:/box\n1:cpu,cpuacct:/box\n0::/\n"}


def write_system(root: Path, files: Mapping[str, str]) -> Path:
    """Write files below a folder that stands for /."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_cpu_and_governor(tmp_path: Path) -> None:
    """The CPU's name, its vector instructions and its governor are in the record."""
    cpuinfo = "processor : 0\nmodel name\t: Some CPU @ 3 GHz\nflags\t\t: fpu avx2 avx512f sse4_2\n"
    files = {
        "proc/cpuinfo": cpuinfo + cpuinfo.replace("Some", "Other"),
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "powersave\n",
    }
    machine = describe_machine(write_system(tmp_path, files))
    assert machine.cpu == "Some CPU @ 3 GHz"
    assert machine.cpu_flags == ("avx2", "avx512f", "sse4_2")
    assert machine.governor == "powersave"


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        (V2 | {"sys/fs/cgroup/pod/box/cpu.max": "150000 100000"}, 1.5),
        (V2 | {"sys/fs/cgroup/pod/box/cpu.max": "max 100000"}, None),
        (
            V2
            | {
                "sys/fs/cgroup/pod/box/cpu.max": "400000 100000",
                "sys/fs/cgroup/pod/cpu.max": "50000 100000",
            },
            0.5,
        ),
        (
            V1
            | {
                "sys/fs/cgroup/cpu/box/cpu.cfs_quota_us": "200000",
                "sys/fs/cgroup/cpu/box/cpu.cfs_period_us": "100000",
            },
            2.0,
        ),
        (
            V1
            | {
                "sys/fs/cgroup/cpu/box/cpu.cfs_quota_us": "-1",
                "sys/fs/cgroup/cpu/box/cpu.cfs_period_us": "100000",
            },
            None,
        ),
        ({}, None),
    ],
)
def test_quota(tmp_path: Path, files: Mapping[str, str], quota: float | None) -> None:
    """The container's CPU quota is the least of all enclosing groups, in either version."""
    assert describe_machine(write_system(tmp_path, files)).core_quota == quota


@pytest.mark.parametrize("text", ["", "200000", "unlimited", "100000 0", "soon enough"])
def test_odd_limits_are_none(tmp_path: Path, text: str) -> None:
    """A sandbox that writes something else into these files ends no run: no limit is known."""
    files = V2 | {"sys/fs/cgroup/pod/box/cpu.max": text, "sys/fs/cgroup/pod/box/memory.max": text}
    machine = describe_machine(write_system(tmp_path, files))
    assert machine.core_quota is None
    odd_groups = {"proc/self/cgroup": "no groups here\n"}
    assert describe_machine(write_system(tmp_path / "odd", odd_groups)).memory_limit_bytes is None


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        (V2 | {"sys/fs/cgroup/pod/box/memory.max": "1073741824"}, 1 << 30),
        (V2 | {"sys/fs/cgroup/pod/box/memory.max": "max"}, None),
        (V1 | {"sys/fs/cgroup/memory/box/memory.limit_in_bytes": "9223372036854771712"}, None),
    ],
)
def test_memory_limit(tmp_path: Path, files: Mapping[str, str], limit: int | None) -> None:
    """The container's memory limit is read where there is one."""
    assert describe_machine(write_system(tmp_path, files)).memory_limit_bytes == limit


def test_quiet_run_has_no_notes() -> None:
    """A quiet machine and steady times give no note."""
    assert find_noise(MACHINE, make_record({"a": 9.0}).rows, [], busy_cores=0.1) == []


@pytest.mark.parametrize(
    ("change", "load", "remedy"),
    [
        ({}, 1.3, "taskset"),
        ({"core_quota": 0.5}, 0.0, "CPU limit"),
        ({"cores_allowed": 0}, 0.0, "--threads"),
        ({"governor": "powersave"}, 0.0, "cpupower"),
    ],
)
def test_noisy_machine_names_the_remedy(
    change: Mapping[str, object], load: float, remedy: str
) -> None:
    """What disturbs a run is said, with what would help."""
    rows = make_record({"a": 9.0}).rows
    (note,) = find_noise(MACHINE.model_copy(update=change), rows, [], load)
    assert remedy in note


def test_busy_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What others do is watched on the cores that this process may use, idle and waiting apart."""
    core = min(os.sched_getaffinity(0))
    lines = [f"cpu{core} 100 0 50 800 50 0 0 0 7 7", "cpu999 5 0 0 5 0 0 0 0 0 0"]
    root = write_system(tmp_path, {"proc/stat": "\n".join(lines)})
    assert watch_busy_cores(0.0, root) is None  # no time has passed
    later = [f"cpu{core} 160 0 60 820 60 0 0 0 9 9", "cpu999 5 0 0 95 0 0 0 0 0 0"]
    monkeypatch.setattr(
        "time.sleep", lambda _: (root / "proc/stat").write_text("\n".join(later)) and None
    )
    assert watch_busy_cores(0.0, root) == pytest.approx(0.7)  # 70 ticks of 100
    assert watch_busy_cores(0.0, tmp_path / "nowhere") is None


def test_starved_process_is_noisy() -> None:
    """A process that had its core for part of the time says so."""
    rows = [row.model_copy(update={"cpu_share": 0.6}) for row in make_record({"a": 9.0}).rows]
    (note,) = find_noise(MACHINE, rows, [], busy_cores=0.0)
    assert "60 % of the time" in note


def test_function_that_waits_is_not_starved() -> None:
    """A function may wait by itself, for a server: that says nothing of the machine."""
    (file,) = make_record({"a": 9.0}).rows
    waits = file.model_copy(update={"path": "call", "cpu_share": 0.1})
    assert find_noise(MACHINE, [file, waits], [], busy_cores=0.0) == []
