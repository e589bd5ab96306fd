"""The reference computation: a few microseconds that tell whether a neighbour slows the core at this moment.

It squares one number inside one call into C. It touches no memory beyond some lines of the first cache and keeps the
core's units busy, so whatever takes a share of these units, of the clock or of the time slows it as well. It creates
one object in all: a sum of Python's numbers, which creates one for each, took 14 to 20 % longer for seconds on a quiet
machine, more often after long inferences than after short ones, so that whole cases seemed disturbed that were not.
"""

import sys
from collections.abc import Callable
from functools import partial
from time import perf_counter_ns
from typing import TypeAlias

UNDISTURBED_WITHIN = 1.05
"""A reference is undisturbed when it took at most this multiple of the best one known."""

Reference: TypeAlias = Callable[[], int]
"""Computes the reference on the cores in use; gives its time in nanoseconds."""

VERSION = "2"
"""Another one whenever the reference of one core becomes another computation."""

_REPEATS = 5
_RECALLS = 2
"""After an inference of LeNet-5 on 256 images the first computation took 73 to 88 % longer than the third (medians of
400, quiet machine), the second 3 %, a fourth as long as the third."""

_NUMBER = 2 ** (30 * 120) // 7
"""Of 120 of CPython's digits: beyond 140 it squares by Karatsuba's method, with objects in between."""

_compute = partial(_NUMBER.__mul__, _NUMBER)  # about 5 us


def versions() -> dict[str, str]:
    """What the time of a reference on one host depends on, besides its pace."""
    return {"python": " ".join(sys.version.split()), "reference": VERSION}


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
