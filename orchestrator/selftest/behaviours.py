"""Known behaviours against what is measured of them: a sleep, and allocations that come and go within an inference."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from orchestrator.artifacts import JSON
from orchestrator.results import statistics
from orchestrator.selftest import processes, subjects
from orchestrator.selftest.check import Check, judge
from orchestrator.selftest.place import Place
from orchestrator.selftest.processes import Process
from orchestrator.suite import StopRule

SLEEP_NS = 20_000_000
ALLOCATIONS_BYTES = (256 << 20, 32 << 20)
HIGHEST_ERROR = 0.01
LONGEST_SHORT_LIFE_NS = 5_000_000
"""The smaller allocation must not live longer: what a sampler would miss is what is wanted."""

_SLEEP_RULE = StopRule(min_samples=25, min_time_s=0.01, min_undisturbed_samples=0, max_time_s=5.0, max_warmup_s=0.2)
_LIFE_RULE = StopRule(min_samples=50, min_time_s=0.01, min_undisturbed_samples=20, max_time_s=1.0, max_warmup_s=0.1)


def check_sleep(place: Place, folder: Path, repeats: int) -> list[Check]:
    """Trials and plain loops in turn."""
    subject = subjects.known(folder, hold_ns=SLEEP_NS)
    measured: list[Process] = []
    bare: list[Process] = []
    for _ in range(repeats):
        measured.append(place.time(subject, _SLEEP_RULE))
        bare.append(place.bare("sleep", str(SLEEP_NS), warmup_s=0.1, steady_s=0.5))
    return [evaluate_sleep(measured, bare)]


def evaluate_sleep(measured: Sequence[Process], bare: Sequence[Process]) -> Check:
    """As seen on both sides: a sleeper wakes late by the kernel's timer, not by a busy neighbour's share of a core."""
    pace = processes.pace([*measured, *bare])
    ours_ns, bare_ns = (statistics.median_ns(processes.judged(side, pace)) for side in (measured, bare))
    return judge(
        "sleep_error", abs(ours_ns - bare_ns) / SLEEP_NS, HIGHEST_ERROR, median_ns=ours_ns, bare_median_ns=bare_ns
    )


def check_allocations(place: Place, folder: Path, repeats: int) -> list[Check]:
    """Memory trials of each size, and timing trials of the smaller one's life."""
    rises: dict[int, list[int]] = {size_bytes: [] for size_bytes in ALLOCATIONS_BYTES}
    for _ in range(repeats):
        for size_bytes, of_size in rises.items():
            memory = place.memory(subjects.known(folder, allocate_bytes=size_bytes))
            phases = {phase.phase: phase for phase in memory.phases}
            of_size.append(phases["steady"].peak_bytes - phases["warmup"].rss_bytes)
    short = subjects.known(folder, allocate_bytes=min(ALLOCATIONS_BYTES))
    lives = [place.time(short, _LIFE_RULE) for _ in range(repeats)]
    return [evaluate_allocations(rises, processes.median_ns(processes.judged(lives, processes.pace(lives))))]


def evaluate_allocations(rises: Mapping[int, Sequence[int]], short_life_ns: float) -> Check:
    """The worst error of all trials.

    Args:
        rises: by the bytes that each inference allocates and frees, how far the peak of a trial's steady phase stands
            above what was resident just before. (Not above the peak of a process that allocates nothing: that one is of
            the phase's end, when the harness's own timeline has grown.)
        short_life_ns: how long the smallest allocation lives.
    """
    errors = {size: [rise / size - 1 for rise in of_size] for size, of_size in rises.items()}
    by_size: list[JSON] = [
        {"allocated_bytes": size, "worst_error": max(of_size, key=abs), "median_error": float(np.median(of_size))}
        for size, of_size in sorted(errors.items())
    ]
    worst = max(abs(error) for of_size in errors.values() for error in of_size)
    check = judge("allocation_error", worst, HIGHEST_ERROR, allocations=by_size, smallest_lived_ns=short_life_ns)
    if short_life_ns <= LONGEST_SHORT_LIFE_NS:
        return check
    lived_ms = short_life_ns / 1e6
    message = f"the smallest allocation lived {lived_ms:.1f} ms; this machine cannot touch it within 5 ms"
    return replace(check, ok=False, message=message)
