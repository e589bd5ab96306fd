import math
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.results import statistics
from orchestrator.results.interference import TrialSamples, correct
from orchestrator.results.statistics import Estimate, Verdict
from tests.results.rows import samples, trial

MANY = settings(max_examples=50, deadline=None)
TRIALS = st.lists(
    st.lists(st.integers(1, 10**10), min_size=1, max_size=40).map(lambda values: samples(values, block=3)),
    min_size=1,
    max_size=6,
)


def _campaign(random: np.random.Generator, trials: int, slowdown: float = 1.0) -> list[TrialSamples]:
    """Lognormal samples in spells of eight that resemble each other, in trials that differ by 1 %."""

    def trial() -> TrialSamples:
        level = 40_000 * slowdown * random.lognormal(0, 0.01)
        spells = np.repeat(random.lognormal(0, 0.03, 40), 8)
        return samples(np.round(level * spells * random.lognormal(0, 0.02, 320)), block=8)

    return [trial() for _ in range(trials)]


def _interval(estimate: Estimate) -> tuple[float, float]:
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.low, estimate.high


def _swapped(estimate: Estimate) -> Estimate:
    low, high = _interval(estimate)
    return Estimate(1 / estimate.value, 1 / high, 1 / low)


@MANY
@given(TRIALS)
def test_interval_holds_the_median(trials: list[TrialSamples]) -> None:
    estimate = statistics.median(trials)
    assert estimate.value == np.median([np.median(trial.values_ns) for trial in trials])
    if estimate.low is not None:
        low, high = _interval(estimate)
        assert 0 < low <= estimate.value <= high


@MANY
@given(TRIALS, st.sampled_from([2.0, 1024.0]))
def test_median_and_interval_scale_with_the_samples(trials: list[TrialSamples], factor: float) -> None:
    once = statistics.median(trials)
    scaled = statistics.median([replace(trial, values_ns=trial.values_ns * factor) for trial in trials])
    assert scaled.value == once.value * factor
    if once.low is not None:
        assert _interval(scaled) == pytest.approx([end * factor for end in _interval(once)])


@MANY
@given(TRIALS, st.randoms())
def test_order_of_the_trials_does_not_matter(trials: list[TrialSamples], random: Random) -> None:
    shuffled = list(trials)
    random.shuffle(shuffled)
    assert statistics.median(shuffled) == statistics.median(trials)
    assert statistics.ratio(shuffled, trials) == statistics.ratio(trials, shuffled)


def test_every_trial_counts_alike() -> None:
    assert statistics.median_ns([samples([1.0] * 1000), samples([5.0]), samples([7.0])]) == 5.0


@pytest.mark.parametrize(("blocks", "supported"), [(5, False), (6, True)])
def test_single_trial_has_an_interval_only_with_enough_blocks(blocks: int, supported: bool) -> None:
    estimate = statistics.median([samples(range(1, 8 * blocks + 1), block=8)])
    assert (estimate.low is not None) == supported


def test_single_block_of_many_samples_pretends_nothing() -> None:
    assert statistics.median([samples(range(1, 1000), block=1000)]).low is None


def test_nothing_measured_is_an_error() -> None:
    with pytest.raises(ValueError, match="needs trials"):
        statistics.median([])


def test_readings_below_the_clocks_tick_are_no_error() -> None:
    nothing, something = [samples([0.0] * 8)] * 2, [samples([40.0] * 8)] * 2
    assert statistics.median(nothing).value == 0
    assert statistics.decision(statistics.ratio(something, nothing)) is Verdict.SLOWER


def test_intervals_hold_what_they_promise() -> None:
    """Coverage of the true median by 95 % intervals of three trials; a plain bootstrap's would be about 75 %."""
    random = np.random.default_rng(1)
    intervals = [_interval(statistics.median(_campaign(random, 3))) for _ in range(200)]
    assert sum(low <= 40_000 <= high for low, high in intervals) >= 0.9 * 200


@pytest.mark.parametrize("trials", [2, 4])
def test_equal_cases_are_rarely_called_different(trials: int) -> None:
    """By significance alone, without the help of the threshold."""
    random = np.random.default_rng(trials)
    verdicts = [
        statistics.decision(statistics.ratio(_campaign(random, trials), _campaign(random, trials)), threshold=0)
        for _ in range(100)
    ]
    assert sum(verdict is not Verdict.NO_DIFFERENCE for verdict in verdicts) <= 5


def test_slowdown_of_three_per_cent_is_found_with_thorough_settings() -> None:
    random = np.random.default_rng(3)
    compared = [statistics.ratio(_campaign(random, 15, 1.03), _campaign(random, 15)) for _ in range(20)]
    assert sum(statistics.decision(ratio) is Verdict.SLOWER for ratio in compared) >= 18
    assert sum(statistics.decision(_swapped(ratio)) is Verdict.FASTER for ratio in compared) >= 18


@pytest.mark.parametrize(
    ("ratio", "verdict"),
    [
        (Estimate(1.10, 1.05, 1.15), Verdict.SLOWER),
        (Estimate(1.10, 0.99, 1.25), Verdict.NO_DIFFERENCE),
        (Estimate(1.04, 1.03, 1.05), Verdict.NO_DIFFERENCE),
        (Estimate(1 / 1.10, 1 / 1.15, 1 / 1.05), Verdict.FASTER),
        (Estimate(1 / 1.04, 1 / 1.05, 1 / 1.03), Verdict.NO_DIFFERENCE),
        (Estimate(2.0, None, None), Verdict.NO_DIFFERENCE),
    ],
)
def test_decision_needs_significance_and_threshold(ratio: Estimate, verdict: Verdict) -> None:
    assert statistics.decision(ratio, threshold=0.05) is verdict


@pytest.mark.parametrize(
    ("count", "p90", "p99"), [(24_575, False, False), (24_576, True, False), (270_336, True, True)]
)
def test_percentiles_need_their_samples(count: int, p90: bool, p99: bool) -> None:
    trials = [samples(range(count), block=count)]
    found = [statistics.percentile_ns(trials, percent) for percent in (90, 99)]
    assert [value is not None for value in found] == [p90, p99]
    if p90:
        assert found[0] == pytest.approx(0.9 * count, rel=1e-3)


def _steady(level: float) -> TrialSamples:
    return samples([level] * 80, block=8)


DISTURBED = trial(np.full(80, 100.0), [8] * 10, [False] * 10)


@pytest.mark.parametrize(
    ("trials", "reason"),
    [
        ([_steady(100.0)] * 3, None),
        ([_steady(100.0)], "one trial only"),
        ([_steady(100.0), _steady(120.0), _steady(140.0)], "medians of 3 trials differ by 40%"),
        ([_steady(100.0), DISTURBED, DISTURBED], "1 of 3 trials had enough undisturbed samples"),
    ],
)
def test_instability_is_explained(trials: list[TrialSamples], reason: str | None) -> None:
    corrected = correct(tuple(trials))
    found = statistics.instability(trials, corrected, statistics.median(corrected.trials))
    assert found is None if reason is None else found is not None and reason in found


def test_same_data_give_the_same_report() -> None:
    trials = _campaign(np.random.default_rng(0), 4)
    assert statistics.median(trials) == statistics.median(trials)
    assert math.isfinite(statistics.median(trials).value)
