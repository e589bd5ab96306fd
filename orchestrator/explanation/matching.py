"""Which value of a converted model is which of its source, and how far it is from it. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_AXES = 5
"""More orders of axes than of so many are not tried."""

_CLOSE = 0.01
"""Share of a value's largest number within which another one is taken for the same."""

_SEPARATORS = re.compile(r"[^a-z0-9]+")
_STYLES = (("",), ("_1", "_2", "_3"))
"""What stands behind a name: nothing, or what Keras adds to all of a model's layers when it is traced."""
_ENDINGS = re.compile(r"(_cast_fp16|_fp16|_cast|_\d+_cast_fp16)$")


@dataclass(frozen=True)
class Value:
    """One value on a model's way from inputs to outputs, in the order of execution."""

    name: str
    operator: str
    array: NDArray[Any]


@dataclass(frozen=True)
class Match:
    """A value of the source beside the converted model's.

    `by` says how they were found to be one: "name", "value" (the numbers) or "place" (the last ones). `axes` is the
    order in which the converted model has the source's axes, None where it is the same. `max_rel_error` is the largest
    error over the source's largest value.
    """

    source: Value
    converted: Value
    by: str
    axes: tuple[int, ...] | None
    max_abs_error: float
    max_rel_error: float


def match(source: Sequence[Value], converted: Sequence[Value]) -> list[Match]:
    """The pairs, in the source's order: the last values, those of one name, and else those of nearly the same numbers.

    Values are told by their numbers only where these are not all alike. No value is in two pairs.
    """
    found: dict[int, Match] = {}
    free = dict(enumerate(converted))
    if source and converted and (last := _best(source[-1], converted[-1:], "place")) is not None:
        found[len(source) - 1] = last
        del free[len(converted) - 1]
    style = max(_STYLES, key=lambda style: sum(bool(_called(each.name, style, free)) for each in source))
    for place, value in enumerate(source):
        if place in found:
            continue
        named = _called(value.name, style, free)
        held = next(filter(None, (_best(value, [free[index]], "name") for index in reversed(named))), None)
        if held is not None:
            found[place] = held
            free = {index: other for index, other in free.items() if other is not held.converted}
    for place, value in enumerate(source):
        if place in found or not np.ptp(value.array):
            continue
        best = _best(value, [other for other in free.values() if other.array.size == value.array.size], "value")
        if best is not None and best.max_rel_error <= _CLOSE:
            found[place] = best
            free = {index: other for index, other in free.items() if other is not best.converted}
    return [found[place] for place in sorted(found)]


def _called(name: str, style: Sequence[str], values: Mapping[int, Value]) -> list[int]:
    """Those that a converter called so, or as a part of what is called so, with the first ending that there is."""
    plain = _SEPARATORS.sub("_", name.lower())
    endings = ([index for index, value in values.items() if plain + ending in _parts(value.name)] for ending in style)
    return next(filter(None, endings), [])


def _parts(name: str) -> list[str]:
    whole = _ENDINGS.sub("", name.partition(":")[0].lower())
    return [_SEPARATORS.sub("_", part) for part in (whole, *re.split(r"[/;]", whole))]


def _best(value: Value, others: Sequence[Value], by: str) -> Match | None:
    """The nearest of those that have the value's shape, in whatever order of axes."""
    matches = [found for other in others for found in _held(value, other, by)]
    return min(matches, key=lambda found: found.max_abs_error, default=None)


def _held(value: Value, other: Value, by: str) -> list[Match]:
    ours, theirs = value.array.astype(np.float64), other.array.astype(np.float64)
    if ours.ndim != theirs.ndim:
        ours, theirs = np.squeeze(ours), np.squeeze(theirs)
    if ours.ndim != theirs.ndim or ours.ndim > MOST_AXES:
        return []
    found = []
    for axes in permutations(range(ours.ndim)):
        if tuple(theirs.shape[axis] for axis in axes) == ours.shape:
            error = float(np.abs(theirs.transpose(axes) - ours).max(initial=0))
            largest = float(np.abs(ours).max(initial=0)) or 1.0
            order = None if axes == tuple(range(ours.ndim)) else axes
            found.append(Match(value, other, by, order, error, error / largest))
    return found
