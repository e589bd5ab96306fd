"""The reference computation: a few microseconds that tell whether a neighbour slows the core at this moment.

It computes inside one call into C. It touches no memory beyond a few lines of the first cache and keeps the core's
units busy, so whatever takes a share of these units, of the clock or of the time slows it as well.
"""

import os
import threading
from collections.abc import Callable, Sequence
from functools import partial
from time import perf_counter_ns, thread_time_ns
from typing import TypeAlias

UNDISTURBED_WITHIN = 1.05
"""A reference is undisturbed when it took at most this multiple of the best one known."""

Reference: TypeAlias = Callable[[], int]
"""Computes the reference on the cores in use; gives its time in nanoseconds."""

_REPEATS = 5

_compute = partial(sum, range(500))  # about 5 us
_recall = partial(sum, range(100))  # brings code and branch predictors back after an inference, untimed


def reference_ns() -> int:
    """Time of one reference computation on the core of the calling thread."""
    _recall()
    begun = perf_counter_ns()
    _compute()
    return perf_counter_ns() - begun


def median_reference_ns() -> int:
    """The median of five: beside a long block their time does not count, and a single one is a rough guess."""
    return sorted(reference_ns() for _ in range(_REPEATS))[_REPEATS // 2]


class SharedReference:
    """A reference on several processors at once, by threads that stay there; calling it gives the longest time.

    At once, because processors may share a core: what the threads of an inference do to each other then, they do here.
    By threads that sleep, because the calling one would wait for milliseconds where the runtime's own threads still
    spin after an inference; one that slept gets its turn at once.
    """

    def __init__(self, processors: Sequence[int]) -> None:
        self._probes = [_Probe(processor) for processor in processors]

    def __call__(self) -> int:
        for probe in self._probes:
            probe.asked.release()
        for probe in self._probes:
            probe.answered.acquire()
        return max(probe.duration_ns for probe in self._probes)


class _Probe:
    """Computes a reference of about 50 us on one processor each time it is asked.

    Its own processor time counts, because the runtime's threads may want the same processor at that moment.
    """

    def __init__(self, processor: int) -> None:
        from hashlib import pbkdf2_hmac  # in C without Python's lock, so that the probes do run at once

        self._compute = partial(pbkdf2_hmac, "sha256", b"", b"", 150)
        self._processor = processor
        self.duration_ns = 0
        self.asked, self.answered = threading.Semaphore(0), threading.Semaphore(0)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        os.sched_setaffinity(0, {self._processor})
        while True:
            self.asked.acquire()
            begun = thread_time_ns()
            self._compute()
            self.duration_ns = thread_time_ns() - begun
            self.answered.release()
