"""How many cores this process may use. Imports nothing of the package."""

import os


def count_cores() -> int:
    """Return how many cores this process may run on; where no system says so, all there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
