"""What neighbours did to samples, and taking it out. Pure functions over NumPy arrays.

Between blocks of samples a trial computes references; how much slower than the host's best they are tells how much a
neighbour slowed the core. Short blocks see quiet spells as they are: there the samples between two quiet references are
kept and the others left out, and told at the pace that was usual then, for a quiet host's clock wanders. A sample that
outlasts quiet spells never is between two: there its time is regressed on the references' slow-down, and read at the
slow-down of a quiet host. Measured in docs/interference.md.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]

UNDISTURBED_TOLERANCE = 0.05
"""A reference at most this much above the host's best saw no neighbour; as small a share of waiting is none."""

MIN_UNDISTURBED_SAMPLES = 30
LONGEST_SHORT_BLOCK_NS = 1_000_000.0
"""Longer blocks are rarely over before a neighbour comes or goes."""

MOST_EXTRAPOLATED = 0.05
"""Where even the quietest windows were slowed by more than this share, the line is read where nothing was seen."""

MAX_RUNS = 64
"""A trial's blocks are joined into at most that many runs of consecutive blocks."""

_HIGHEST_SLOWDOWN = 3.0
_HIGHEST_SENSITIVITY = 3.0
_LEAST_SPREAD = 0.01
_OWN_BEST_QUANTILE = 0.05
_FASTEST_QUANTILE = 0.01
_MIN_WINDOWS = 8
_MAX_WINDOWS = 320
_BEST_QUANTILE = 0.005
_BEST_RANK = 3
_EVERY = 31
_MIDDLE = 0.35, 0.65
_KEPT_CASES = 32

Basis = Literal["undisturbed", "adjusted", "as-seen"]


@dataclass(frozen=True)
class Pace:
    """Reference times on a quiet host: its best one, from which disturbed ones are told, and a case's usual one.

    Above the best a processor's clock wanders, by 2 to 4 % where it was seen, and with it everything computed. The
    usual one is None where references do not tell how fast the case computes.
    """

    best_ns: float
    usual_ns: float | None = None

    @classmethod
    def of(cls, references_ns: Floats, best_ns: float) -> "Pace":
        """With the median of the undisturbed references of a case, if there are any."""
        quiet_ns = references_ns[_near(references_ns, best_ns)]
        return cls(best_ns, float(np.median(quiet_ns)) if len(quiet_ns) else None)


@dataclass(frozen=True, eq=False)
class TrialSamples:
    """The steady samples of one trial. Equal to itself only, so that what was made of it can be kept.

    `values_ns`: float64, shape (samples,), in order; `block_samples`: int64, shape (blocks,), each at least 1 and
    summing to samples; `undisturbed`: bool, shape (blocks,); `slowdowns`: float64, shape (blocks,), the references
    around a block over the host's best, those near it counting as 1; `paces`: float64, shape (blocks,), the references
    around it over the case's usual one, None where they do not tell how fast it computes; `shared_error`: standard
    error of the logarithm of the values that all trials of the case have in common, with its sign.
    """

    values_ns: Floats
    block_samples: Integers
    undisturbed: Booleans
    slowdowns: Floats
    paces: Floats | None = None
    shared_error: float = 0.0

    @cached_property
    def median_ns(self) -> float:
        """Of its samples."""
        return float(np.median(self.values_ns))

    def undisturbed_mask(self) -> Booleans:
        """Per sample, shape (samples,)."""
        return np.repeat(self.undisturbed, self.block_samples)

    def has_enough_undisturbed(self) -> bool:
        """At least 30 undisturbed samples or, of few long samples, half: a median of these stands on its own."""
        count = int(self.undisturbed_mask().sum())
        return count > 0 and count >= min(MIN_UNDISTURBED_SAMPLES, len(self.values_ns) / 2)

    def quiet_part(self) -> "TrialSamples":
        """Only its undisturbed blocks, as they would be at the case's usual pace."""
        kept = self.block_samples[self.undisturbed]
        values = self.values_ns[self.undisturbed_mask()]
        if self.paces is not None:
            values = values / np.repeat(self.paces[self.undisturbed], kept)
        return TrialSamples(values, kept, np.ones(len(kept), np.bool_), np.ones(len(kept)))


@dataclass(frozen=True, eq=False)
class Corrected:
    """Trials of one case with interference taken out as `basis` says; `as-seen` are the trials as they were.

    `sensitivity`: share by which the case slows down while the reference takes twice its time; `quietest`: slow-down in
    the quietest windows (their 5 % quantile) that it was read from. They are 0 and 1 unless adjusted.
    """

    basis: Basis
    trials: tuple[TrialSamples, ...]
    sensitivity: float = 0.0
    quietest: float = 1.0

    @property
    def extrapolated(self) -> float:
        """Share by which the case was slowed even in the quietest windows."""
        return self.sensitivity * (self.quietest - 1)


def host_best_ns(references_ns: Floats) -> float:
    """The quiet host's reference time: the 0.5 % quantile of all references of a campaign on that host.

    Not the minimum: at least the third smallest, so that a clock's glitch or two cannot declare the whole campaign
    disturbed. Not a higher quantile: a busy host may be quiet for less than one per cent of the time.

    Raises:
        ValueError: there is no reference.
    """
    if len(references_ns) == 0:
        raise ValueError("no references")
    rank = min(max(_BEST_RANK, math.ceil(_BEST_QUANTILE * len(references_ns))), len(references_ns)) - 1
    return float(np.partition(references_ns, rank)[rank])


def undisturbed(
    values_ns: Floats, block_samples: Integers, references_ns: Floats, waits_ns: Floats, best_ns: float
) -> Booleans:
    """Blocks that no neighbour disturbed: bool, shape (blocks,).

    The references on both sides are within 5 % of the best and the threads waited for a core less than 5 % of the time.

    Args:
        values_ns: shape (samples,).
        block_samples: shape (blocks,).
        references_ns: shape (blocks + 1,).
        waits_ns: shape (blocks,), or (0,) where nobody knows.
        best_ns: from `host_best_ns` or `own_best_ns`; above 0.
    """
    durations_ns = _durations(values_ns, block_samples) if len(waits_ns) else None
    return _undisturbed(_near(references_ns, best_ns), waits_ns, durations_ns)


def judge(
    values_ns: Floats, block_samples: Integers, references_ns: Floats, waits_ns: Floats, pace: Pace
) -> TrialSamples:
    """A trial in the light of its pace; the arrays as in `undisturbed`.

    Waiting is known, not guessed: it is taken off the samples of long blocks.
    """
    near_best = _near(references_ns, pace.best_ns)
    durations_ns = _durations(values_ns, block_samples) if len(waits_ns) else None
    quiet = _undisturbed(near_best, waits_ns, durations_ns)
    own_ns = values_ns
    if durations_ns is not None and _is_long(durations_ns):
        own_ns = np.maximum(values_ns - np.repeat(waits_ns / block_samples, block_samples), 0.0)
    slowdowns = np.where(near_best, 1.0, np.minimum(references_ns / pace.best_ns, _HIGHEST_SLOWDOWN))
    paces = _between(np.maximum(references_ns, pace.best_ns) / pace.usual_ns) if pace.usual_ns else None
    return TrialSamples(own_ns, block_samples, quiet, _between(slowdowns), paces)


def _undisturbed(near_best: Booleans, waits_ns: Floats, durations_ns: Floats | None) -> Booleans:
    quiet: Booleans = near_best[:-1] & near_best[1:]
    return quiet if durations_ns is None else quiet & (waits_ns <= UNDISTURBED_TOLERANCE * durations_ns)


def _near(references_ns: Floats, best_ns: float) -> Booleans:
    near: Booleans = references_ns <= best_ns * (1 + UNDISTURBED_TOLERANCE)
    return near


def _between(of_references: Floats) -> Floats:
    """Of the blocks, from both sides."""
    return (of_references[:-1] + of_references[1:]) / 2


def own_best_ns(references_ns: Floats) -> float:
    """What is quiet for a case of several threads: the 5 % quantile of its own references.

    Its threads slow each other's references, the more the longer the runtime's pool spins: no other case tells.

    Raises:
        ValueError: there is no reference.
    """
    if len(references_ns) == 0:
        raise ValueError("no references")
    return float(np.quantile(references_ns, _OWN_BEST_QUANTILE))


@lru_cache(maxsize=_KEPT_CASES)
def correct(trials: tuple[TrialSamples, ...]) -> Corrected:
    """Takes interference out of the trials of one case.

    Short blocks: the undisturbed parts at the case's usual pace, of the trials that have enough of them, where at least
    half have. To leave out a whole trial is no dropping of outliers: the references decide, never the samples. Long
    ones: adjusted.
    """
    if not trials or any(len(trial.values_ns) == 0 for trial in trials):
        return Corrected("as-seen", trials)
    if _is_long(np.concatenate([_durations(trial.values_ns, trial.block_samples) for trial in trials])):
        return _adjust(trials) or Corrected("as-seen", trials)
    enough = tuple(trial.quiet_part() for trial in trials if trial.has_enough_undisturbed())
    if enough and 2 * len(enough) >= len(trials):
        return Corrected("undisturbed", enough)
    return Corrected("as-seen", trials)


def _durations(values_ns: Floats, block_samples: Integers) -> Floats:
    """Of the blocks."""
    starts = np.cumsum(block_samples) - block_samples
    durations: Floats = np.add.reduceat(values_ns, starts)
    return durations


def _is_long(durations_ns: Floats) -> bool:
    return float(np.median(durations_ns)) > LONGEST_SHORT_BLOCK_NS


@dataclass(frozen=True)
class _Windows:
    """Runs of a trial's blocks: median time of a sample and mean excess of the slow-down over 1, both (windows,)."""

    of_block: Integers
    times_ns: Floats
    excess: Floats


def _adjust(trials: Sequence[TrialSamples]) -> Corrected | None:
    """Divides by what the slow-down of the reference explains; None where the data are too few to tell.

    time = quiet time * (1 + sensitivity * (slow-down - 1)), with one sensitivity for the case, from the medians and
    means of windows of all its trials. Means, because a neighbour comes and goes within a window, and a reference sees
    a moment; a line through medians, because single moments are far off.

    A neighbour may slow the reference and leave the samples alone: they are not taken below the fastest 1 % of all.
    """
    most = max(_MIN_WINDOWS, min(MAX_RUNS, _MAX_WINDOWS // len(trials)))
    windows = [_windows(trial, most) for trial in trials]
    if sum(len(one.times_ns) for one in windows) < _MIN_WINDOWS:
        return None
    sensitivity, error = _sensitivity(windows)
    quietest = float(np.quantile(np.concatenate([one.excess for one in windows]), _OWN_BEST_QUANTILE))
    fastest_ns = np.quantile(np.concatenate([trial.values_ns for trial in trials]), _FASTEST_QUANTILE)
    floor_ns = float(fastest_ns) / (1 + sensitivity * quietest)
    adjusted = []
    for trial, one in zip(trials, windows, strict=True):
        factors = 1 + sensitivity * one.excess
        values = trial.values_ns / np.repeat(factors[one.of_block], trial.block_samples)
        typical = float(np.median(one.excess))
        shared_error = -typical / (1 + sensitivity * typical) * error
        adjusted.append(replace(trial, values_ns=np.maximum(values, floor_ns), shared_error=shared_error))
    return Corrected("adjusted", tuple(adjusted), sensitivity, 1 + quietest)


def _windows(trial: TrialSamples, most: int) -> _Windows:
    blocks = len(trial.block_samples)
    of_block = np.arange(blocks) * min(blocks, most) // blocks
    starts = np.flatnonzero(np.diff(of_block, prepend=-1))
    first_samples = (np.cumsum(trial.block_samples) - trial.block_samples)[starts]
    times = _medians(trial.values_ns, first_samples)
    slowdowns = np.add.reduceat(trial.slowdowns, starts) / np.bincount(of_block)
    return _Windows(of_block, times, slowdowns - 1)


def _medians(values_ns: Floats, starts: Integers) -> Floats:
    """Of consecutive parts that begin at `starts`."""
    sizes = np.diff(starts, append=len(values_ns))
    ascending = values_ns[np.lexsort((values_ns, np.repeat(np.arange(len(starts)), sizes)))]
    medians: Floats = (ascending[starts + (sizes - 1) // 2] + ascending[starts + sizes // 2]) / 2
    return medians


def _sensitivity(windows: Sequence[_Windows]) -> tuple[float, float]:
    """With its standard error: by the jackknife over trials, of a single one over its windows."""
    sizes = [len(one.excess) for one in windows] if len(windows) > 1 else [1] * len(windows[0].excess)
    group = np.repeat(np.arange(len(sizes)), sizes)
    kept = np.arange(-1, len(sizes))[:, np.newaxis] != group  # first all of them, then without each group
    excess = np.concatenate([one.excess for one in windows])
    times_ns = np.concatenate([one.times_ns for one in windows])
    whole, *without = _sensitivities(excess, times_ns, kept)
    return whole, math.sqrt((len(without) - 1) * float(np.var(without)))


def _sensitivities(excess: Floats, times_ns: Floats, kept: Booleans) -> list[float]:
    """Theil and Sen's line through points, each pair's slope weighted by the square of its distance.

    The error of a slope falls with the distance of its two points: unweighted, the many pairs of quiet windows, which
    differ by noise only, would hide the few disturbed ones. (Birkes and Dodge, Alternative Methods of Regression, 1993,
    have weights by distance.)

    Args:
        excess: shape (points,).
        times_ns: shape (points,).
        kept: shape (lines, points).

    Returns:
        Of each line through the points kept its slope over the time at slow-down 1.
    """
    distances = np.triu(excess - excess[:, np.newaxis])
    if not np.any(distances):
        return [0.0] * len(kept)
    with np.errstate(divide="ignore", invalid="ignore"):  # what has no distance has no weight
        slopes = (times_ns - times_ns[:, np.newaxis]) / distances
    medians = _weighted_medians(slopes, np.square(distances), kept.astype(np.float64))
    return [_relative(slope, excess[of], times_ns[of]) for slope, of in zip(medians.tolist(), kept, strict=True)]


def _relative(slope: float, excess: Floats, times_ns: Floats) -> float:
    """0 where the host was quiet all the time."""
    if float(np.ptp(excess)) < _LEAST_SPREAD:
        return 0.0
    quiet_ns = max(float(np.median(times_ns - slope * excess)), float(np.min(times_ns)) / 2)
    return float(np.clip(slope / quiet_ns, 0.0, _HIGHEST_SENSITIVITY))


def _weighted_medians(values: Floats, weights: Floats, kept: Floats) -> Floats:
    """The least value of a pair up to which there is half of the weight of all, of the pairs of the points kept.

    To sort all pairs would take most of the time. A few of them tell about where the medians lie, and only those near
    there are sorted; all are where the weights below and among these tell that a median lies elsewhere.

    Args:
        values: shape (points, points).
        weights: shape (points, points).
        kept: 0 or 1, shape (medians, points).
    """

    def weight(of_pairs: Floats) -> Floats:
        return np.asarray(np.einsum("mp,mp->m", kept @ of_pairs, kept))

    halves = weight(weights) / 2
    sampled = np.argsort(values.ravel()[::_EVERY]) * _EVERY
    reached = np.cumsum(weights.ravel()[sampled])
    low, high = values.ravel()[sampled[np.searchsorted(reached, reached[-1] * np.array(_MIDDLE))]]
    within = (low <= values) & (values <= high)
    below = weight(weights * (values < low))
    if np.any(below >= halves) or np.any(below + weight(weights * within) < halves):
        within, below = weights > 0, np.zeros(len(kept))
    order = np.argsort(values[within])
    one, other = (points[order] for points in np.nonzero(within))
    reached = np.cumsum(kept[:, one] * kept[:, other] * weights[one, other], axis=1)
    ranks = [np.searchsorted(row, half) for row, half in zip(reached, halves - below, strict=True)]
    medians: Floats = values[one, other][ranks]
    return medians
