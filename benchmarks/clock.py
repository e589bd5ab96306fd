"""Timing of whole pieces of work."""

import time
from collections.abc import Callable
from typing import TypeVar

ResultT = TypeVar("ResultT")


def timed(work: Callable[[], ResultT]) -> tuple[ResultT, float]:
    """What the work returns, and the seconds that it took."""
    begun = time.perf_counter()
    result = work()
    return result, time.perf_counter() - begun
