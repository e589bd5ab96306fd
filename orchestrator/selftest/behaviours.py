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
from runner_api.v1 import runner_pb2 as api

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
    best_ns = processes.best_ns([*measured, *bare])
    ours_ns, bare_ns = (statistics.median_ns(processes.judged(side, best_ns)) for side in (measured, bare))
    return judge(
        "sleep_error", abs(ours_ns - bare_ns) / SLEEP_NS, HIGHEST_ERROR, median_ns=ours_ns, bare_median_ns=bare_ns
    )


def check_allocations(place: Place, folder: Path, repeats: int) -> list[Check]:
    """Memory trials, and timing trials that tell how long the smaller allocation lives."""
    found = {
        size_bytes: [place.memory(subjects.known(folder, allocate_bytes=size_bytes)) for _ in range(repeats)]
        for size_bytes in ALLOCATIONS_BYTES
    }
    short = subjects.known(folder, allocate_bytes=min(ALLOCATIONS_BYTES))
    lives = [place.time(short, _LIFE_RULE) for _ in range(repeats)]
    return [evaluate_allocations(found, processes.median_ns(processes.judged(lives, processes.best_ns(lives))))]


def evaluate_allocations(found: Mapping[int, Sequence[api.Memory]], short_life_ns: float) -> Check:
    """The worst error of all trials, phases and sizes; `found`: trials by the bytes that each inference allocates."""
    errors = {size: [error for memory in trials for error in _errors(memory, size)] for size, trials in found.items()}
    worst = {size: max(of_size, key=abs) for size, of_size in errors.items()}
    by_size: list[JSON] = [
        {"allocated_bytes": size, "worst_error": worst[size], "median_error": float(np.median(errors[size]))}
        for size in sorted(errors)
    ]
    check = judge(
        "allocation_error",
        max(map(abs, worst.values())),
        HIGHEST_ERROR,
        allocations=by_size,
        smallest_lived_ns=short_life_ns,
    )
    if short_life_ns <= LONGEST_SHORT_LIFE_NS:
        return check
    message = f"the smallest allocation lived {short_life_ns / 1e6:.1f} ms; this machine cannot touch it within 5 ms"
    return replace(check, ok=False, message=message)


def _errors(memory: api.Memory, size_bytes: int) -> list[float]:
    """Relative errors of the rise of the peak above what was resident before, cold and steady."""
    phases = {phase.phase: phase for phase in memory.phases}
    pairs = (("first", "load"), ("steady", "warmup"))
    rises = [phases[name].peak_bytes - phases[before].rss_bytes for name, before in pairs]
    return [rise / size_bytes - 1 for rise in rises]
