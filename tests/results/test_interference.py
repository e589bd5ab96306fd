"""Taking out what neighbours did: blocks that they spared, and samples too long to be spared."""

import os
import subprocess
import sys

import numpy as np
import pytest

from orchestrator.results import interference, statistics
from orchestrator.results.interference import Floats, Pace, TrialSamples, correct
from runners.jobs import StopRule
from runners.measure import timing
from tests.results.rows import samples, trial

NO_WAITS = np.zeros(0)


def test_glitch_of_the_clock_does_not_set_the_hosts_best() -> None:
    references = np.array([1.0, 2.0] + [5000.0 + jitter for jitter in range(200)])
    best = interference.host_best_ns(references)
    assert best == 5000.0
    assert _judged(references[2:], best).undisturbed.all()


def test_host_that_is_quiet_for_one_per_cent_of_the_time_has_its_best_found() -> None:
    references = np.array([9000.0] * 990 + [5000.0] * 10)
    assert interference.host_best_ns(references) == 5000.0


def test_block_is_undisturbed_when_both_neighbouring_references_are_near_the_best() -> None:
    references = np.array([100.0, 105.0, 105.1, 100.0, 100.0])
    assert _judged(references, 100.0).undisturbed.tolist() == [True, False, False, True]


def test_block_that_waited_for_a_core_is_disturbed() -> None:
    judged = _judged(np.full(4, 100.0), 100.0, waits_ns=np.array([0.0, 1.0, 100.0]))
    assert judged.undisturbed.tolist() == [True, True, False]


def _judged(references: Floats, best_ns: float, waits_ns: Floats = NO_WAITS) -> TrialSamples:
    """One sample of 100 ns between each two references."""
    blocks = len(references) - 1
    values, sizes = np.full(blocks, 100.0), np.ones(blocks, np.int64)
    return interference.judge(values, sizes, references, waits_ns, Pace.of(references, best_ns))


def test_undisturbed_part_is_told_at_the_usual_pace_of_the_host() -> None:
    """A clock that wanders within what counts as undisturbed slows the reference and the model alike."""
    references = np.repeat([100.0, 101.0, 102.0, 103.0, 104.0], 40)
    pace = Pace.of(references, 100.0)
    trials = tuple(
        interference.judge(np.full(80, 7 * clock), np.ones(80, np.int64), np.full(81, clock), NO_WAITS, pace)
        for clock in (100.0, 104.0)
    )
    assert [trial.median_ns for trial in correct(trials).trials] == pytest.approx([7 * 102.0] * 2)


def _half_disturbed(slow: float) -> TrialSamples:
    return trial(np.tile(np.repeat([100.0, slow], 8), 10), [8] * 20, [True, False] * 10)


def test_undisturbed_part_is_free_of_interference() -> None:
    corrected = correct((_half_disturbed(180.0), _half_disturbed(300.0)))
    estimate = statistics.median(corrected.trials)
    assert corrected.basis == "undisturbed"
    assert (estimate.value, estimate.low, estimate.high) == pytest.approx((100.0, 100.0, 100.0))


def test_trials_that_never_had_quiet_are_left_out_unless_they_are_the_most() -> None:
    never = trial(np.full(80, 180.0), [8] * 10, [False] * 10)
    quiet = _half_disturbed(180.0)
    assert correct((never,)).basis == correct((never, never, quiet)).basis == "as-seen"
    assert len(correct((never, quiet)).trials) == 1


def test_few_long_samples_are_enough_when_half_of_them_are_undisturbed() -> None:
    assert trial(np.full(4, 1e9), [1] * 4, [True, False, True, False]).has_enough_undisturbed()


QUIET_MS, SENSITIVITY = 20e6, 0.4


def _long_trials(
    random: np.random.Generator, trials: int, busiest: float = 1.0, idlest: float = 0.0
) -> tuple[TrialSamples, ...]:
    """60 samples of 20 ms a trial, slowed by a neighbour that is there for a share of each of them."""
    found = []
    for _ in range(trials):
        level = random.uniform(idlest, busiest)  # a trial mostly sees one state of its neighbour
        share = np.clip(level + random.normal(0, 0.15, 61), idlest, busiest)
        values = QUIET_MS * (1 + SENSITIVITY * (share[:-1] + share[1:]) / 2) * random.lognormal(0, 0.005, 60)
        references = 5000 * (1 + share) * random.lognormal(0, 0.01, 61)
        found.append(interference.judge(values, np.ones(60, np.int64), references, NO_WAITS, Pace(5000.0, 5000.0)))
    return tuple(found)


def test_samples_longer_than_quiet_spells_are_adjusted_and_their_interval_holds() -> None:
    """Real trials differ by far more than 10 % there; the interval must know what the line does not."""
    held = 0
    for seed in range(40):
        corrected = correct(_long_trials(np.random.default_rng(seed), 5))
        estimate = statistics.median(corrected.trials)
        assert corrected.basis == "adjusted"
        assert estimate.value == pytest.approx(QUIET_MS, rel=0.05)
        assert estimate.low is not None
        assert estimate.high is not None
        held += estimate.low <= QUIET_MS <= estimate.high
    assert held >= 36


def test_adjusted_medians_of_processes_agree_better_than_those_as_seen() -> None:
    trials = _long_trials(np.random.default_rng(0), 20)
    seen, adjusted = (
        [float(np.median(trial.values_ns)) for trial in some] for some in (trials, correct(trials).trials)
    )
    assert np.std(adjusted) < np.std(seen) / 3


def test_the_one_disturbed_process_among_quiet_ones_is_adjusted() -> None:
    """The many pairs of quiet windows, which differ by noise only, must not hide what it tells."""
    random = np.random.default_rng(0)
    trials = (*_long_trials(random, 19, busiest=0.02), *_long_trials(random, 1, idlest=0.8))
    seen, adjusted = (float(np.median(some[-1].values_ns)) for some in (trials, correct(trials).trials))
    assert seen > 1.3 * QUIET_MS
    assert adjusted == pytest.approx(QUIET_MS, rel=0.03)


def test_a_neighbour_that_slows_only_the_reference_makes_no_sample_faster_than_the_fastest() -> None:
    trials = _long_trials(np.random.default_rng(0), 10)
    spared = trial(np.full(60, QUIET_MS), [1] * 60, [False] * 60)
    adjusted = correct((*trials, spared)).trials[-1]
    assert np.median(adjusted.values_ns) == pytest.approx(QUIET_MS, rel=0.02)


def test_on_a_quiet_host_adjusting_changes_nothing() -> None:
    trials = _long_trials(np.random.default_rng(0), 5, busiest=0.0)
    assert statistics.median_ns(correct(trials).trials) == pytest.approx(statistics.median_ns(trials), rel=0.01)


def test_a_host_that_was_never_quiet_is_told() -> None:
    trials = _long_trials(np.random.default_rng(0), 5, idlest=0.5)
    corrected = correct(trials)
    reason = statistics.instability(trials, corrected, statistics.median(corrected.trials))
    assert reason is not None
    assert "even the quietest moments were slowed by about" in reason


def test_waiting_for_a_core_is_taken_off_long_samples() -> None:
    values, waits = np.full(20, 30e6), np.tile([0.0, 10e6], 10)
    judged = interference.judge(values + waits, np.ones(20, np.int64), np.full(21, 5000.0), waits, Pace(5000.0, 5000.0))
    assert judged.values_ns.tolist() == values.tolist()


def test_too_few_long_samples_stay_as_seen() -> None:
    assert correct((samples([2e6, 3e6]),)).basis == "as-seen"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux binds processes and tells how long they waited")
def test_a_neighbour_on_the_same_core_is_taken_out() -> None:
    """Really there, switched on and off; on most of the time, so that the median as seen is about twice the truth."""
    allowed = os.sched_getaffinity(0)
    neighbour = [sys.executable, "-c", NEIGHBOUR]
    os.sched_setaffinity(0, {min(allowed)})
    try:
        with subprocess.Popen(neighbour) as process:  # inherits the one processor
            measured = timing.measure(_compute_for_milliseconds, RULE, WARMUP)
            process.kill()
    finally:
        os.sched_setaffinity(0, allowed)
    values, blocks, references, waits = (
        np.array(measured[name]) for name in ("samples_ns", "block_samples", "references_ns", "waits_ns")
    )
    pace = Pace.of(references, float(references.min()))
    judged = interference.judge(values.astype(float), blocks, references, waits.astype(float), pace)
    corrected = statistics.median_ns(correct((judged,)).trials)
    assert corrected < 0.75 * float(np.median(values))


NEIGHBOUR = """
import time
while True:
    end = time.monotonic() + 0.3
    while time.monotonic() < end: pass
    time.sleep(0.1)
"""
RULE = StopRule(min_samples=100, min_time_ns=0, min_undisturbed_samples=0, max_time_ns=10_000_000_000, max_warmup_ns=0)
WARMUP = timing.Warmup(duration_ns=0, samples=1, fastest_ns=10_000_000, settled=True)


def _compute_for_milliseconds() -> None:
    sum(range(1_000_000))
