"""What attacked inputs do to a converted model, beside its source. Pure.

Only inputs count that source and converted model both classify rightly before the attack: a model that was wrong
already was not fooled. Both models see the same attacked inputs, so their outcomes are paired.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from orchestrator.results.schema import Outcomes

Labels = NDArray[np.int64]
Mask = NDArray[np.bool_]

CONFIDENCE = 0.95
_RESAMPLED = 2000
_SEED = 20220928


class Verdict(StrEnum):
    """Outcome of a comparison with the source model."""

    MORE = "more-vulnerable"
    LESS = "less-vulnerable"
    MIXED = "mixed"
    NO_DIFFERENCE = "no-difference"
    NOT_COMPARABLE = "not-comparable"


@dataclass(frozen=True)
class Rate:
    """`count` of `total`, with Wilson's 95 % interval of the share; a share of nothing is not a number."""

    count: int
    total: int

    @property
    def share(self) -> float:
        """0 to 1."""
        return self.count / self.total if self.total else math.nan

    def interval(self) -> tuple[float, float]:
        """Wilson 1927."""
        if not self.total:
            return 0.0, 1.0
        found = stats.binomtest(self.count, self.total).proportion_ci(CONFIDENCE, "wilson")
        return float(found.low), float(found.high)


@dataclass(frozen=True)
class Paired:
    """What two models made of the same inputs: `only_source` and `only_converted` were fooled where the other was not.

    The two decide alone whether there is a difference (McNemar 1947).
    """

    total: int
    only_source: int
    only_converted: int

    @classmethod
    def of_counts(cls, total: int, more_wrong: int, changed: int) -> "Paired":
        """Where only it is known that the converted model gets `more_wrong` inputs wrong and `changed` labels.

        As if each changed label were a right one made wrong or the reverse: as many as can be, which makes the interval
        the widest and the p-value the highest of all outcomes with these counts.
        """
        changed = max(changed, abs(more_wrong))
        return cls(total, (changed - more_wrong) // 2, (changed + more_wrong) // 2)

    @property
    def difference(self) -> float:
        """Share of inputs that fool the converted model less that of those that fool the source; -1 to 1."""
        return (self.only_converted - self.only_source) / self.total if self.total else math.nan

    def interval(self) -> tuple[float, float]:
        """Of the difference, 95 %, with half an input more in each cell (Agresti and Min, Statistics in Medicine
        2005)."""
        total, source, converted = self.total + 2, self.only_source + 0.5, self.only_converted + 0.5
        centre = (converted - source) / total
        deviation = math.sqrt(((converted + source) / total - centre**2) / total)
        half = float(stats.norm.ppf((1 + CONFIDENCE) / 2)) * deviation
        return max(-1.0, centre - half), min(1.0, centre + half)

    def p_value(self) -> float:
        """McNemar's exact test, two-sided; 1 where the outcomes are all alike."""
        discordant = self.only_source + self.only_converted
        return float(stats.binomtest(self.only_converted, discordant).pvalue) if discordant else 1.0


@dataclass(frozen=True)
class Unpaired:
    """Two shares of which only the counts are known; where both were counted on the same inputs it errs on the side of
    no difference."""

    base: Rate
    other: Rate

    @property
    def difference(self) -> float:
        """Of the other's share from the base's; -1 to 1."""
        return self.other.share - self.base.share

    def interval(self) -> tuple[float, float]:
        """Of the difference, 95 %, from both Wilson's (Newcombe, Statistics in Medicine 1998, method 10)."""
        (base_low, base_high), (low, high) = self.base.interval(), self.other.interval()
        below = math.hypot(self.other.share - low, base_high - self.base.share)
        above = math.hypot(high - self.other.share, self.base.share - base_low)
        return self.difference - below, self.difference + above

    def p_value(self) -> float:
        """Fisher's exact test, two-sided."""
        table = [[rate.count, rate.total - rate.count] for rate in (self.base, self.other)]
        return float(stats.fisher_exact(table).pvalue)


@dataclass(frozen=True)
class Score:
    """One attack on one converted model.

    `scored` counts the inputs that count; `source` and `converted` are how many of them are wrong after the attack,
    `disagreements` how many have another class than the source's.
    """

    scored: int
    source: Rate
    converted: Rate
    disagreements: Rate
    paired: Paired


def score(outcomes: Outcomes) -> Score:
    """Over the inputs that both models classify rightly before the attack."""
    labels, source, clean = map(np.array, (outcomes.labels, outcomes.source_clean, outcomes.clean))
    return _score(outcomes, (source == labels) & (clean == labels), np.array(outcomes.attacked))


def between(base: Outcomes, other: Outcomes) -> Score:
    """Two models after the same attacked inputs, over those that both classify rightly before.

    `base` stands where a score has the source, `other` where it has the converted model.
    """
    return score(other.model_copy(update={"source_clean": base.clean, "source_attacked": base.attacked}))


def batch_invariant(outcomes: Outcomes) -> bool:
    """Whether every class is the same one at a time and in a batch."""
    return outcomes.clean == outcomes.clean_alone and outcomes.attacked == outcomes.attacked_alone


def like_openja(outcomes: Outcomes, *, answers_first_only: bool) -> Score:
    """The score as the study computed it: inputs filtered one at a time, attacked ones scored all at once.

    Its Core ML packages had a batch of one (`answers_first_only`): asked for a thousand inputs such a package gives the
    answer to the first, which NumPy then compares with every label. That this is what happened is inferred from the
    replication package's code and its figures near chance, not proven. Never a finding.
    """
    labels, source, alone = map(np.array, (outcomes.labels, outcomes.source_clean, outcomes.clean_alone))
    filtered, attacked = (source == labels) & (alone == labels), np.array(outcomes.attacked)
    if answers_first_only and filtered.any():
        attacked = np.full_like(attacked, attacked[filtered][0])
    return _score(outcomes, filtered, attacked)


def _score(outcomes: Outcomes, mask: Mask, attacked: Labels) -> Score:
    labels, source, converted = (
        np.asarray(values)[mask] for values in (outcomes.labels, outcomes.source_attacked, attacked)
    )
    source_wrong, wrong, total = source != labels, converted != labels, len(labels)
    return Score(
        scored=total,
        source=Rate(int(source_wrong.sum()), total),
        converted=Rate(int(wrong.sum()), total),
        disagreements=Rate(int((source != converted).sum()), total),
        paired=Paired(total, int((source_wrong & ~wrong).sum()), int((wrong & ~source_wrong).sum())),
    )


def margins(answers: NDArray[np.floating]) -> NDArray[np.float64]:
    """By how much the best answer is above the second, (inputs,); of one probability, by how much one class is."""
    flat = answers.reshape(len(answers), -1).astype(np.float64)
    if flat.shape[1] == 1:
        return np.abs(2 * flat[:, 0] - 1)
    second, best = np.sort(flat, axis=1)[:, -2:].T
    found: NDArray[np.float64] = best - second
    return found


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted for their number (Holm 1979), in the order given."""
    count, highest = len(p_values), 0.0
    adjusted = [0.0] * count
    for rank, index in enumerate(sorted(range(count), key=lambda index: p_values[index])):
        highest = max(highest, min(1.0, (count - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


@dataclass(frozen=True)
class Shift:
    """How much farther attacked inputs are from the originals than those of another model: median of the ratios of
    distances with its 95 % interval, below 1 when less is needed; `p_value` of Wilcoxon's signed-rank test."""

    inputs: int
    ratio: float
    low: float
    high: float
    p_value: float


def shift(distances: NDArray[np.float64], source_distances: NDArray[np.float64]) -> Shift | None:
    """Of the inputs for which both attacks found something (finite distances above 0); None for fewer than 6, of which
    no outcome is significant."""
    both = np.isfinite(distances) & np.isfinite(source_distances) & (distances > 0) & (source_distances > 0)
    logs = np.log(distances[both]) - np.log(source_distances[both])
    if len(logs) < 6:
        return None
    p_value = float(stats.wilcoxon(logs).pvalue) if np.any(logs) else 1.0
    low, high = median_interval(logs)
    return Shift(len(logs), math.exp(float(np.median(logs))), math.exp(low), math.exp(high), p_value)


def median_interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """95 % interval of the median by the bootstrap over inputs; not a number where there are none."""
    if not len(values):
        return math.nan, math.nan
    chosen = np.random.default_rng(_SEED).integers(len(values), size=(_RESAMPLED, len(values)))
    low, high = np.quantile(np.median(values[chosen], axis=1), ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2))
    return float(low), float(high)
