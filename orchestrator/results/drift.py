"""How the hosts' own pace changed from one campaign to another. Pure."""

import math
from collections import defaultdict
from collections.abc import Sequence
from statistics import median

from orchestrator.results.pairs import Pair
from orchestrator.results.selection import Name, reference_of
from orchestrator.results.summary import Measured


def drifts(paired: Sequence[Pair]) -> list[float | None]:
    """Of each pair, how many times as long the host took by itself for the other side: to be taken out of its ratio.

    The median over all pairs of that host, so that what a new runtime does to the clock stays its own; by logarithms,
    so that exchanging the sides inverts it. None where it cannot be taken out: on other hosts or with other references,
    of several threads or devices, whose pace these do not tell, and where a median is not that of undisturbed samples.
    """
    of_host: dict[Name, list[float]] = defaultdict(list)
    found = [_drift(pair) for pair in paired]
    for place, log_ratio in filter(None, found):
        of_host[place].append(log_ratio)
    return [None if one is None else math.exp(median(of_host[one[0]])) for one in found]


def _drift(pair: Pair) -> tuple[Name, float] | None:
    """Where both sides were measured, and the logarithm of their usual references' ratio."""
    if pair.base is None or pair.other is None or _place(pair.base) != _place(pair.other):
        return None
    ours_ns, theirs_ns = _usual_ns(pair.base), _usual_ns(pair.other)
    return (_place(pair.base), math.log(theirs_ns / ours_ns)) if ours_ns and theirs_ns else None


def _place(side: Measured) -> Name:
    return (side.summary.host_fingerprint, *reference_of(side.versions))


def _usual_ns(side: Measured) -> float | None:
    return side.pace.usual_ns if side.pace and side.summary.median_basis == "undisturbed" else None
