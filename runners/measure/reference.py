"""The reference computation: a few microseconds that tell whether a neighbour slows the core at this moment.

It computes inside one call into C. It touches no memory beyond a few lines of the first cache and keeps the core's
units busy, so whatever takes a share of these units, of the clock or of the time slows it as well.
"""

from collections.abc import Callable
from functools import partial
from time import perf_counter_ns
from typing import TypeAlias

UNDISTURBED_WITHIN = 1.05
"""A reference is undisturbed when it took at most this multiple of the best one known."""

Reference: TypeAlias = Callable[[], int]
"""Computes the reference on the cores in use; gives its time in nanoseconds."""

_REPEATS = 5
_RECALLS = 2
"""After an inference of LeNet-5 on 256 images the first computation took 26 to 42 % longer than the third (5 %
quantiles, busy machine), the second 1 to 5 %: taken for a neighbour, that left such cases without a quiet moment."""

_compute = partial(sum, range(500))  # about 5 us


def reference_ns() -> int:
    """Time of one reference computation on the core of the calling thread."""
    _recall()
    return _timed_ns()


def median_reference_ns() -> int:
    """The median of five: beside a long block their time does not count, and a single one is a rough guess."""
    _recall()
    return sorted(_timed_ns() for _ in range(_REPEATS))[_REPEATS // 2]


def _recall() -> None:
    """Brings back what an inference drove out of the caches; its time tells nothing of the core's speed."""
    for _ in range(_RECALLS):
        _timed_ns()


def _timed_ns() -> int:
    begun = perf_counter_ns()
    _compute()
    return perf_counter_ns() - begun
