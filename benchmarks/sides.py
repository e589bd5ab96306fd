"""Two sides of one measurement, taken in turn."""

from collections.abc import Callable
from typing import Any

import numpy as np

from orchestrator.selftest import processes
from orchestrator.selftest.processes import Process


def in_turn(pairs: int, measure: Callable[[bool], Process]) -> tuple[list[Process], list[Process]]:
    """`pairs` processes without and as many with what `measure` is told to add, which goes first every other time."""
    sides: dict[bool, list[Process]] = {False: [], True: []}
    for index in range(pairs):
        for added in (False, True) if index % 2 else (True, False):
            sides[added].append(measure(added))
    return sides[False], sides[True]


def shift(without: list[Process], added: list[Process], bound: float) -> dict[str, Any]:
    """By how much the undisturbed median moved."""
    found = processes.medians(added, without)
    moved = found.ours_ns / found.bare_ns - 1
    return {
        "median_without_ns": found.bare_ns,
        "median_with_ns": found.ours_ns,
        "basis": found.basis,
        "shift": moved,
        "shift_bound": bound,
        "shift_ok": abs(moved) < bound,
        "shift_of_as_seen_medians": _seen_ns(added) / _seen_ns(without) - 1,
    }


def _seen_ns(side: list[Process]) -> float:
    return float(np.median([np.median(process.values_ns) for process in side]))
