"""What the harness adds to a sample: a runtime that does nothing beside two reads of the clock."""

from collections.abc import Sequence

from orchestrator.selftest import processes
from orchestrator.selftest.check import Check, judge
from orchestrator.selftest.place import Place, Subject
from orchestrator.selftest.processes import Process
from orchestrator.suite import StopRule

HIGHEST_MULTIPLE = 2.0

_RULE = StopRule(min_samples=1000, min_time_s=0.005, min_undisturbed_samples=10_000, max_time_s=1.0, max_warmup_s=0.1)


def check(place: Place, subject: Subject, repeats: int) -> list[Check]:
    """Measures both, in turn."""
    null: list[Process] = []
    clock: list[Process] = []
    for _ in range(repeats):
        clock.append(place.bare("clock", warmup_s=0.1, steady_s=_RULE.max_time_s))
        null.append(place.time(subject, _RULE, processes.pace([*clock, *null]).best_ns))
    return [evaluate(null, clock)]


def evaluate(null: Sequence[Process], clock: Sequence[Process]) -> Check:
    """The bound is twice what two reads cost in equally fresh processes."""
    found = processes.medians(null, clock)
    return judge(
        "null_overhead_ns",
        found.ours_ns,
        HIGHEST_MULTIPLE * found.bare_ns,
        clock_reads_ns=found.bare_ns,
        ratio=found.ours_ns / found.bare_ns,
        basis=found.basis,
    )
