"""One setting of threads for every runtime alike."""

import math
import os

from runners.measure import cgroup

_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


def available_cpus() -> int:
    """Processors that a trial may use: the affinity's, or fewer when the container's quota is tighter; at least 1."""
    quota = cgroup.cpu_quota()
    return affinity() if quota is None else min(affinity(), max(1, math.floor(quota)))


def affinity() -> int:
    """Processors on which this process may run."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def environment(threads: int) -> dict[str, str]:
    """What the mathematical libraries read when they are loaded; runtimes are told by their own settings, too."""
    return dict.fromkeys(_VARIABLES, str(threads))
