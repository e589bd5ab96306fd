"""The timed part of a trial: warm-up until it settles, then blocks of samples between reference computations."""

import gc
import resource
from collections.abc import Callable
from time import perf_counter_ns
from typing import Any, NamedTuple

from runners.jobs import StopRule
from runners.measure.reference import (
    UNDISTURBED_WITHIN,
    Reference,
    median_reference_ns,
    reference_ns,
)
from runners.measure.scheduling import WorkingThreads

BLOCK_NS = 300_000
"""A block takes about this long: shorter than most quiet spells of a shared core, long beside a reference."""

MAX_SAMPLES = 500_000
"""Ends a trial too (`stopped_by` "max_samples"): the result is one message, and gRPC takes no message above 4 MiB."""

LONG_SAMPLE_NS = 1_000_000
"""From here on a block is one sample, which outlasts most quiet spells: its references are to tell how much, not only
whether a neighbour disturbed, and may take longer for that."""

_REFERENCE_SHARE = 10
"""A block takes at least this many times as long as the references on one side of it."""

_WINDOW_SAMPLES = 5
_WINDOW_NS = 10_000_000
_STILL_FALLING = 0.99

Call = Callable[[], object]


class Warmup(NamedTuple):
    """How long it took, the fastest inference near its end, and whether it had settled by then."""

    duration_ns: int
    samples: int
    fastest_ns: int
    settled: bool


def warm_up(call: Call, max_warmup_ns: int) -> Warmup:
    """Infers in windows of 5 samples or 10 ms, until a window's median no longer falls or `max_warmup_ns` are over."""
    begun = perf_counter_ns()
    deadline = begun + max_warmup_ns
    window = _window(call, deadline)
    total = len(window)
    settled = False
    while not settled and perf_counter_ns() < deadline:
        before, window = _middle(window), _window(call, deadline)
        total += len(window)
        settled = _middle(window) >= _STILL_FALLING * before
    return Warmup(perf_counter_ns() - begun, total, min(window), settled)


def _window(call: Call, deadline: int) -> list[int]:
    end = min(perf_counter_ns() + _WINDOW_NS, deadline)
    samples = [_sample(call)]
    while (len(samples) < _WINDOW_SAMPLES and perf_counter_ns() < deadline) or perf_counter_ns() < end:
        samples.append(_sample(call))
    return samples


def _middle(samples: list[int]) -> int:
    """Their upper median; importing the module `statistics` would cost every trial some 10 ms."""
    return sorted(samples)[len(samples) // 2]


def _sample(call: Call) -> int:
    begun = perf_counter_ns()
    call()
    return perf_counter_ns() - begun


def block_size(sample_ns: int, block_ns: int = BLOCK_NS) -> int:
    """Samples of a block: the power of two that fills `block_ns` best from below, at least 1."""
    return 1 << max(0, (block_ns // max(sample_ns, 1)).bit_length() - 1)


class Blocks:
    """Samples, the blocks they came in, and a reference before the first block and after each one.

    Args:
        host_best_ns: what undisturbed means; where it is 0, the best reference so far takes its place.
    """

    def __init__(self, host_best_ns: float) -> None:
        self.host_best_ns = host_best_ns
        self.samples_ns: list[int] = []
        self.block_samples: list[int] = []
        self.references_ns: list[int] = []
        self.waits_ns: list[int] = []
        self.total_ns = 0
        self.undisturbed_samples = 0
        self._best_ns = host_best_ns or float("inf")

    def add_reference(self, reference_ns: int) -> None:
        """Takes the reference after the latest block, or the first of all; a new best one judges all blocks again."""
        self.references_ns.append(reference_ns)
        if not self.host_best_ns and reference_ns < self._best_ns:
            self._best_ns = reference_ns
            self.undisturbed_samples = sum(map(self._undisturbed, range(len(self.block_samples))))
        elif self.block_samples:
            self.undisturbed_samples += self._undisturbed(len(self.block_samples) - 1)

    def _undisturbed(self, block: int) -> int:
        """The block's samples if the references on both its sides were near the best, else 0.

        What its threads waited is left to the one who reads the results: it ends no trial earlier.
        """
        slowest = max(self.references_ns[block], self.references_ns[block + 1])
        return self.block_samples[block] if slowest <= UNDISTURBED_WITHIN * self._best_ns else 0

    def add_block(self, call: Call, count: int, threads: WorkingThreads) -> None:
        """Times `count` calls, one by one; the block's wait is the longest one of the `threads`."""
        waited = threads.waited_ns()
        samples: list[int] = []
        for _ in range(count):
            begun = perf_counter_ns()
            call()
            ended = perf_counter_ns()
            samples.append(ended - begun)
        if threads:
            waits = zip(threads.waited_ns(), waited, strict=True)
            self.waits_ns.append(max(0, *(after - before for after, before in waits)))
        self.samples_ns += samples
        self.block_samples.append(count)
        self.total_ns += sum(samples)

    def unmet(self, rule: StopRule) -> list[str]:
        """Conditions of the rule that do not hold yet."""
        reached = {
            "min_samples": len(self.samples_ns) >= rule.min_samples,
            "min_time": self.total_ns >= rule.min_time_ns,
            "min_undisturbed_samples": self.undisturbed_samples >= rule.min_undisturbed_samples,
        }
        return [condition for condition, met in reached.items() if not met]


def measure(
    call: Call, rule: StopRule, warmup: Warmup, reference_best_ns: float = 0.0, threads: int = 1
) -> dict[str, Any]:
    """The steady state, as fields of the contract's Timing.

    Args:
        call: one inference; it returns when the result is ready.
        rule: when there is enough.
        warmup: what went before; it tells how long a call takes, about.
        reference_best_ns: the host's best reference so far, 0 when unknown; then it is the best of this trial.
        threads: how many the runtime uses.
    """
    blocks = Blocks(reference_best_ns)
    working = WorkingThreads(call)
    reference = _reference(threads, working, warmup.fastest_ns)
    count = block_size(warmup.fastest_ns, max(BLOCK_NS, _REFERENCE_SHARE * _cost_ns(reference)))
    gc.collect()
    gc.disable()
    before, begun = resource.getrusage(resource.RUSAGE_SELF), perf_counter_ns()
    blocks.add_reference(reference())
    stopped_by = ""
    while not stopped_by:
        blocks.add_block(call, count, working)
        blocks.add_reference(reference())
        stopped_by = _stop(blocks, rule, perf_counter_ns() - begun)
    wall_time_ns, after = perf_counter_ns() - begun, resource.getrusage(resource.RUSAGE_SELF)
    working.close()
    cpu_time_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "samples_ns": blocks.samples_ns,
        "block_samples": blocks.block_samples,
        "references_ns": blocks.references_ns,
        "waits_ns": blocks.waits_ns,
        "stopped_by": stopped_by,
        "unmet": ([] if warmup.settled else ["warmup"]) + blocks.unmet(rule),
        "cpu_time_ns": round(cpu_time_s * 1e9),
        "wall_time_ns": wall_time_ns,
        "voluntary_switches": after.ru_nvcsw - before.ru_nvcsw,
        "involuntary_switches": after.ru_nivcsw - before.ru_nivcsw,
        "gc_enabled": gc.isenabled(),
    }


def _reference(threads: int, working: WorkingThreads, sample_ns: int) -> Reference:
    """One core is asked by the timing thread itself, several by threads of their own where threads can be bound."""
    processors = working.processors() if threads > 1 else []
    if len(processors) > 1:
        from runners.measure.shared_reference import SharedReference  # its imports cost the other trials nothing

        return SharedReference(processors[:threads])
    return median_reference_ns if sample_ns >= LONG_SAMPLE_NS else reference_ns


def _cost_ns(reference: Reference) -> int:
    """Wall time of the fastest of three."""
    costs = []
    for _ in range(3):
        begun = perf_counter_ns()
        reference()
        costs.append(perf_counter_ns() - begun)
    return min(costs)


def _stop(blocks: Blocks, rule: StopRule, elapsed_ns: int) -> str:
    """What ends the trial now; empty when it goes on."""
    if not blocks.unmet(rule):
        return "enough"
    if elapsed_ns >= rule.max_time_ns:
        return "max_time"
    return "max_samples" if len(blocks.samples_ns) >= MAX_SAMPLES else ""
