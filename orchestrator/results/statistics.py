"""Figures from samples: medians with intervals, comparisons. Pure functions over NumPy arrays.

A case has trials (fresh processes), a trial has blocks of consecutive samples. Both levels vary: processes differ by
memory layout and by what the host did meanwhile, and samples near each other resemble each other. Intervals therefore
resample trials and, within a trial, runs of blocks (hierarchical bootstrap: Davison and Hinkley, "Bootstrap Methods and
their Application", 1997, section 3.8; for benchmarks: Kalibera and Jones, "Rigorous Benchmarking in Reasonable Time",
ISMM 2013).

A bootstrap over a handful of trials is too narrow: simulated with normal, heavy-tailed and two-speed trials, its plain
95 % interval held the true median in 50 % of cases for 2 trials, 75 % for 3 and 89 % for 4. So replicates are spread
about the estimate by sqrt(n / (n - 1)) and by Student's over the normal quantile, as Hesterberg recommends ("What
Teachers Should Know About the Bootstrap", 2015, section 4.3); then it held it in 84 to 94, 88 to 93 and 95 to 99 %.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from orchestrator.results.interference import (
    MAX_RUNS,
    MOST_EXTRAPOLATED,
    Booleans,
    Corrected,
    Floats,
    Integers,
    TrialSamples,
    correct,
)

Counts = NDArray[np.float32]
"""Whole numbers as floating-point ones, which multiply fast and are exact up to 16 million samples of a trial."""

CONFIDENCE = 0.95
DEFAULT_THRESHOLD = 0.02
"""Smallest change worth a verdict: above the 1.5 % by which undisturbed medians of equal processes differ, and far
enough below 3 % that a slowdown of 3 % is called one."""

PERCENTILE_SAMPLES = {90: 24_576, 99: 270_336}
"""Samples that a percentile needs. MLPerf Inference's counts: its tail known to a twentieth with 99 % confidence."""

WIDEST_STABLE_INTERVAL = 0.1
"""Trials disagree when the interval of their median is wider than this share of it."""

_MIN_RUNS = 6
_RESAMPLED_TRIALS = 500
_RESAMPLED_CASES = 2000
_SEED = 20220928
_KEPT_CASES = 32
"""Resampling costs most of the time of a report; its median and all its ratios share that of a case."""


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval; the interval is None where the data do not support one.

    `freedom`: degrees of freedom of Student's distribution that the interval was widened by; 0 where it was not.
    """

    value: float
    low: float | None
    high: float | None
    freedom: float = 0.0

    @property
    def relative_width(self) -> float | None:
        """Width of the interval as a share of the value; None without an interval or for a value of 0."""
        if self.low is None or self.high is None or self.value == 0:
            return None
        return (self.high - self.low) / self.value

    @property
    def inverse(self) -> "Estimate":
        """Of a ratio above 0: the same with its sides exchanged."""
        low, high = (None if end is None else 1 / end for end in (self.high, self.low))
        return Estimate(1 / self.value, low, high, self.freedom)

    def over(self, divisor: float) -> "Estimate":
        """Divided by what is known, above 0."""
        low, high = (None if end is None else end / divisor for end in (self.low, self.high))
        return Estimate(self.value / divisor, low, high, self.freedom)


class Verdict(StrEnum):
    """Outcome of a comparison."""

    FASTER = "faster"
    SLOWER = "slower"
    NO_DIFFERENCE = "no-difference"


def median_ns(trials: Sequence[TrialSamples]) -> float:
    """Median of the trials' medians, each trial counting alike whatever its number of samples.

    Raises:
        ValueError: there is no trial, or one without samples.
    """
    if not trials or any(len(trial.values_ns) == 0 for trial in trials):
        raise ValueError("a median needs trials, and each trial needs samples")
    return statistics.median(trial.median_ns for trial in trials)


def median(trials: Sequence[TrialSamples]) -> Estimate:
    """`median_ns` with its 95 % interval.

    The interval is None when it would be pretence: a single trial of fewer than 6 blocks, because the range of 5 values
    holds their median in fewer than 95 % of cases. A single trial's interval says nothing about other processes.

    Raises:
        ValueError: as `median_ns`.
    """
    value = median_ns(trials)
    if not _supports_interval(trials):
        return Estimate(value, None, None)
    logs = _log_replicates(tuple(trials), stream=0)
    return _estimate(value, logs, freedom=len(trials) - 1)


def ratio(case: Sequence[TrialSamples], baseline: Sequence[TrialSamples]) -> Estimate:
    """The case's median over the baseline's (above 1: the case is slower) with its 95 % interval.

    Both sides are resampled on their own; degrees of freedom after Welch. No interval where one side has none.
    Exchanging the sides gives the inverse: it is the slower one that is drawn as the baseline.

    Raises:
        ValueError: as `median_ns`.
    """
    value = max(median_ns(case), 1.0) / max(median_ns(baseline), 1.0)
    if value > 1:
        return ratio(baseline, case).inverse
    if not (_supports_interval(case) and _supports_interval(baseline)):
        return Estimate(value, None, None)
    of_case, of_baseline = _log_replicates(tuple(case), stream=0), _log_replicates(tuple(baseline), stream=1)
    freedom = _welch((of_case, len(case)), (of_baseline, len(baseline)))
    return _estimate(value, of_case - of_baseline, freedom)


def compare(case: Sequence[TrialSamples], baseline: Sequence[TrialSamples], drift: float = 1.0) -> Estimate:
    """Their `ratio` with interference taken out of both sides where it can be, else as seen; never one of each.

    Args:
        case: as `ratio`'s.
        baseline: likewise.
        drift: of a baseline measured at another time, how many times as long its host took for the case by itself,
            above 0; taken out with the interference.
    """
    sides = correct(tuple(case)), correct(tuple(baseline))
    if any(side.basis == "as-seen" for side in sides):
        return ratio(case, baseline)
    return ratio(sides[0].trials, sides[1].trials).over(drift)


def decision(compared: Estimate, threshold: float = DEFAULT_THRESHOLD) -> Verdict:
    """What a ratio says: a difference must be significant (its interval leaves out 1) and beyond the threshold.

    The threshold counts alike both ways: swapping the sides of a ratio swaps faster and slower.
    """
    if compared.low is None or compared.high is None:
        return Verdict.NO_DIFFERENCE
    if compared.low > 1 and compared.value >= 1 + threshold:
        return Verdict.SLOWER
    if compared.high < 1 and 1 / compared.value >= 1 + threshold:
        return Verdict.FASTER
    return Verdict.NO_DIFFERENCE


def p_value(compared: Estimate) -> float:
    """How likely it is by chance that a ratio is so far from 1; 1 without an interval.

    The test that belongs to the interval, for tails that no resampling reaches: the wider half of the interval of the
    logarithm tells the standard error, Student's distribution the rest. Below 0.05 the interval leaves out 1.
    """
    if compared.low is None or compared.high is None or compared.value == 1:
        return 1.0
    half = math.log(max(compared.high / compared.value, compared.value / compared.low))
    if half == 0:
        return 0.0
    tail, freedom = (1 - CONFIDENCE) / 2, compared.freedom
    quantile = float(stdtrit(freedom, 1 - tail) if freedom > 0 else ndtri(1 - tail))
    distance = quantile * abs(math.log(compared.value)) / half
    return 2 * float(stdtr(freedom, -distance) if freedom > 0 else ndtr(-distance))


def percentile_ns(trials: Sequence[TrialSamples], percent: int) -> float | None:
    """That percentile of all samples as seen; None with fewer samples than `PERCENTILE_SAMPLES` asks for."""
    values = np.concatenate([trial.values_ns for trial in trials])
    if len(values) < PERCENTILE_SAMPLES[percent]:
        return None
    return float(np.percentile(values, percent))


def instability(trials: Sequence[TrialSamples], corrected: Corrected, estimate: Estimate) -> str | None:
    """Why `estimate`, the median of the `corrected` ones of these trials, is not to be relied on; None when it is."""
    if len(trials) < 2:
        return "one trial only: how processes differ is unknown"
    reasons = []
    if corrected.basis == "as-seen":
        enough = sum(trial.has_enough_undisturbed() for trial in trials)
        reasons.append(f"{enough} of {len(trials)} trials had enough undisturbed samples")
    if corrected.extrapolated > MOST_EXTRAPOLATED:
        reasons.append(f"even the quietest moments were slowed by about {corrected.extrapolated:.0%}")
    width = estimate.relative_width
    if width is not None and width > WIDEST_STABLE_INTERVAL:
        medians = [trial.median_ns for trial in corrected.trials]
        spread = max(medians) / max(min(medians), 1.0) - 1
        reasons.append(f"the medians of {len(medians)} trials differ by {spread:.0%}, the interval is {width:.0%} wide")
    return "; ".join(reasons) or None


def _supports_interval(trials: Sequence[TrialSamples]) -> bool:
    return len(trials) > 1 or len(trials[0].block_samples) >= _MIN_RUNS


def _log(values_ns: Floats) -> Floats:
    """Logarithms; 0 ns means less than the clock tells, and counts as 1 ns."""
    logs: Floats = np.log(np.maximum(values_ns, 1.0))
    return logs


@lru_cache(maxsize=_KEPT_CASES)
def _log_replicates(trials: tuple[TrialSamples, ...], stream: int) -> Floats:
    """Logarithms of resampled medians of medians, shape (_RESAMPLED_CASES,), spread for the small number of trials.

    The order of the trials does not matter and the seed is fixed, so a report comes out the same twice; `stream` keeps
    the two sides of a ratio independent.
    """
    medians, errors = _resampled(trials)
    chosen = _chosen(len(trials), stream)
    spread = np.exp(chosen.shared[:, np.newaxis] * errors[chosen.trials])
    logs = _log(np.median(medians[chosen.trials, chosen.medians] * spread, axis=1))
    if len(trials) == 1:
        return logs
    centre = float(np.median(logs))
    return centre + (logs - centre) * math.sqrt(len(trials) / (len(trials) - 1))


@lru_cache(maxsize=_KEPT_CASES)
def _resampled(trials: tuple[TrialSamples, ...]) -> tuple[Floats, Floats]:
    """Of each trial its resampled medians, shape (trials, _RESAMPLED_TRIALS), and its shared error, shape (trials,)."""
    ordered = sorted(trials, key=lambda trial: (trial.median_ns, trial.values_ns.tolist()))
    return np.stack([_resampled_medians(trial) for trial in ordered]), np.array([one.shared_error for one in ordered])


@dataclass(frozen=True)
class _Chosen:
    """What is drawn at random for a case.

    `trials` and `medians`: shape (_RESAMPLED_CASES, trials), which trials make up a case and which of their resampled
    medians; `shared`: shape (_RESAMPLED_CASES,), standard normal, for the error that the trials have in common.
    """

    trials: Integers
    medians: Integers
    shared: Floats


@lru_cache(maxsize=_KEPT_CASES)
def _chosen(trials: int, stream: int) -> _Chosen:
    random = np.random.default_rng((_SEED, stream))
    shape = (_RESAMPLED_CASES, trials)
    chosen = random.integers(trials, size=shape), random.integers(_RESAMPLED_TRIALS, size=shape)
    return _Chosen(*chosen, random.standard_normal(_RESAMPLED_CASES))


@lru_cache(maxsize=MAX_RUNS)
def _draws(runs: int) -> Counts:
    """How often each run of a trial is taken, shape (_RESAMPLED_TRIALS, runs), rows summing to `runs`.

    All trials share them; what tells these apart is chosen for each on its own, see `_chosen`. Over all draws every run
    is taken equally often, so that none counts for more by chance (balanced bootstrap: Davison, Hinkley and Schechtman,
    Biometrika 1986).
    """
    taken = np.random.default_rng((_SEED, runs)).permutation(np.tile(np.arange(runs), _RESAMPLED_TRIALS))
    cells = np.repeat(np.arange(_RESAMPLED_TRIALS), runs) * runs + taken
    return np.bincount(cells, minlength=len(cells)).reshape(_RESAMPLED_TRIALS, runs).astype(np.float32)


def _resampled_medians(trial: TrialSamples) -> Floats:
    """Medians of a trial whose runs of blocks were drawn with replacement, shape (_RESAMPLED_TRIALS,).

    Blocks are joined into at most 64 runs: a neighbour disturbs for longer than the 0.3 ms of a block, so longer runs
    are nearer to independent (Kunsch 1989), and no sample has to be left out for speed.
    """
    blocks, order = len(trial.block_samples), np.argsort(trial.values_ns)
    runs = min(blocks, MAX_RUNS)
    run_of_rank = np.repeat(np.arange(blocks) * runs // blocks, trial.block_samples)[order]
    resampled = _Resampled.of(_draws(runs), run_of_rank)
    total = resampled.below[:, -1]
    lower = resampled.first_reaching((total + 1) // 2)
    upper, even = lower.copy(), total % 2 == 0
    upper[even] = resampled.where(even).first_reaching(total[even] // 2 + 1)
    values_ns = trial.values_ns[order]
    return np.asarray((values_ns[lower] + values_ns[upper]) / 2)


@dataclass(frozen=True)
class _Resampled:
    """Samples of which each counts as often as its run was drawn, in cells of `cell` consecutive ranks.

    `draws`: shape (draws, runs); `run_of_rank`: shape (samples,), of the samples in ascending order; `below`: shape
    (draws, cells + 1), how many resampled samples there are below each cell, at last below the end.
    """

    draws: Counts
    run_of_rank: Integers
    cell: int
    below: Counts

    @classmethod
    def of(cls, draws: Counts, run_of_rank: Integers) -> "_Resampled":
        """With cells as many as make the two steps of a search take alike long."""
        samples, runs = len(run_of_rank), draws.shape[1]
        cell = max(round(math.sqrt(samples) / 2), 1)
        ends = 1 + -(-samples // cell)
        table = np.bincount(run_of_rank * ends + 1 + np.arange(samples) // cell, minlength=runs * ends)
        return cls(draws, run_of_rank, cell, draws @ np.cumsum(table.reshape(runs, ends), axis=1).astype(np.float32))

    def where(self, wanted: Booleans) -> "_Resampled":
        """Only the draws that are wanted, shape (draws,)."""
        return replace(self, draws=self.draws[wanted], below=self.below[wanted])

    def first_reaching(self, counts: Counts) -> Integers:
        """Per draw the first rank with at least that many resampled samples at or below it: its cell, then itself."""
        wanted, each = counts[:, np.newaxis], np.arange(len(counts))[:, np.newaxis]
        cell = np.argmax(self.below[:, 1:] >= wanted, axis=1)[:, np.newaxis]
        ranks = np.minimum(cell * self.cell + np.arange(self.cell), len(self.run_of_rank) - 1)
        weights = self.draws[each, self.run_of_rank[ranks]]
        reached = self.below[each, cell] + np.cumsum(weights, axis=1)
        first: Integers = cell[:, 0] * self.cell + np.argmax(reached >= wanted, axis=1)
        return first


def _welch(*sides: tuple[Floats, int]) -> float:
    """Welch and Satterthwaite's degrees of freedom of a difference; a single trial brings no term, 0 means none did."""
    variances = [(float(np.var(logs)), trials) for logs, trials in sides]
    terms = sum(variance**2 / (trials - 1) for variance, trials in variances if trials > 1)
    return sum(variance for variance, _ in variances) ** 2 / terms if terms > 0 else 0.0


def _estimate(value: float, logs: Floats, freedom: float) -> Estimate:
    """The 95 % interval of replicates `logs` about log(value), widened by Student over normal where `freedom` > 0."""
    tail = (1 - CONFIDENCE) / 2
    widening = float(stdtrit(freedom, 1 - tail) / ndtri(1 - tail)) if freedom > 0 else 1.0
    centre = math.log(max(value, 1e-9))
    low, high = centre + (np.quantile(logs, (tail, 1 - tail)) - centre) * widening
    return Estimate(value, min(value, math.exp(low)), max(value, math.exp(high)), freedom)
