"""The memory of a trial: the peak of each phase as the kernel kept it. Nothing is timed meanwhile.

On Linux the peak is VmHWM, which /proc/self/clear_refs resets between phases; `ru_maxrss` would not do, it survives
exec. On macOS it is the interval's maximum of the physical footprint. Only the timeline, for plots, is sampled.
"""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from memory_profiler import memory_usage

from runners.jobs import StopRule
from runners.measure import cgroup, timing

if sys.platform == "darwin":
    from runners.measure import footprint as kernel
else:
    from runners.measure import proc as kernel

MIN_INFERENCES = 20
MIN_TIME_S = 0.2

_TIMELINE_INTERVAL_S = 0.01


class MemoryRecorder:
    """Peaks of the phases. Before the first phase stands "start": what the harness itself holds."""

    def __init__(self) -> None:
        self._phases: list[dict[str, Any]] = []
        self._timeline: list[dict[str, int]] = []
        self._record("start", kernel.Interval())

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Lets the kernel's peak begin anew and reads it at the end."""
        interval = kernel.Interval()
        yield
        self._record(name, interval)

    def steady(self, call: timing.Call, rule: StopRule, warmup: timing.Warmup) -> None:  # noqa: ARG002
        """At least 20 inferences and 0.2 s, unless the rule's time is up; meanwhile a thread samples the timeline."""
        done = threading.Event()
        sampler = threading.Thread(target=self._sample, args=(done,))
        sampler.start()
        try:
            _infer(call, rule.max_time_ns / 1e9)
        finally:
            done.set()
            sampler.join()

    def result(self) -> dict[str, Any]:
        """Memory."""
        memory = {
            "phases": self._phases,
            "container_peak_bytes": cgroup.memory_peak_bytes(),
            "timeline": self._timeline,
            "peak_source": kernel.PEAK_SOURCE,
        }
        return {"memory": memory}

    def _record(self, phase: str, interval: kernel.Interval) -> None:
        self._phases.append({"phase": phase, **asdict(interval.read())})

    def _sample(self, done: threading.Event) -> None:
        begun = time.monotonic_ns()
        while not done.is_set():
            at_ns = time.monotonic_ns() - begun  # memory_usage's own timestamps are of a clock that may step back
            (rss_mib,) = memory_usage(-1, interval=_TIMELINE_INTERVAL_S)  # reads, then sleeps
            self._timeline.append({"at_ns": at_ns, "rss_bytes": round(rss_mib * 2**20)})


def _infer(call: timing.Call, max_time_s: float) -> None:
    begun, count, elapsed_s = time.monotonic(), 0, 0.0
    while count == 0 or (elapsed_s < max_time_s and (count < MIN_INFERENCES or elapsed_s < MIN_TIME_S)):
        call()
        count += 1
        elapsed_s = time.monotonic() - begun
