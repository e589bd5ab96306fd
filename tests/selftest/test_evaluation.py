"""What the checks make of figures: from real faults of a harness, made up here, to verdicts."""

from dataclasses import replace

import numpy as np
import pytest

from orchestrator.results.interference import TrialSamples
from orchestrator.selftest import behaviours, model, overhead
from orchestrator.selftest.check import KINDS, judge
from orchestrator.selftest.model import Pool
from orchestrator.selftest.processes import Process, process
from orchestrator.selftest.settings import Settings
from orchestrator.suite import load_suite
from tests.results.rows import trial

SETTINGS = Settings(pairs=40)


def pool(slower: float = 1.0, scatter: float = 0.005, quiet: bool = True, noise: float = 0.0) -> Pool:
    """30 trials and 15 plain loops, all equal but for that: a harness that is slower than the plain loops by `slower`,
    processes that scatter, and half of the blocks disturbed, which by chance take up to `noise` longer."""
    random = np.random.default_rng(1)

    def process(level_ns: float) -> TrialSamples:
        undisturbed = np.arange(40) % 2 == 0 if quiet else np.zeros(40, bool)
        values = level_ns * random.lognormal(0, scatter) * random.lognormal(0, 0.01, 320)
        values *= np.repeat(np.where(undisturbed, 1.0, 1 + noise * random.random()), 8)
        return trial(values, [8] * 40, undisturbed.tolist())

    return Pool(tuple(process(40_000 * slower) for _ in range(30)), tuple(process(40_000) for _ in range(15)))


def test_a_thorough_comparison_has_the_trials_of_the_thorough_suite() -> None:
    assert load_suite("thorough").trials.timing == SETTINGS.thorough_trials


def test_an_honest_harness_passes_every_check_of_the_pool() -> None:
    checks = model.evaluate(pool(noise=1.0), SETTINGS)
    assert [check.name for check in checks if not check.ok] == []
    figures = {check.name: check.value or 0 for check in checks}
    assert figures["plain_cv"] > 0.05 > figures["undisturbed_cv"]


@pytest.mark.parametrize(
    ("made", "caught"),
    [
        (pool(slower=1.05), {"bare_loop_ratio"}),
        (pool(slower=0.95), {"bare_loop_ratio"}),
        (pool(scatter=0.08), {"undisturbed_cv", "shift_detected"}),
        (pool(quiet=False), {"bare_loop_ratio", "undisturbed_cv"}),
    ],
    ids=["slower", "faster", "scattered", "never quiet"],
)
def test_a_fault_is_caught(made: Pool, caught: set[str]) -> None:
    assert caught <= {check.name for check in model.evaluate(made, SETTINGS) if not check.ok}


def test_two_kinds_of_processes_raise_false_alarms() -> None:
    """Were their intervals too narrow, which is what this check is about."""
    narrow = pool(scatter=0.0)
    mixed = tuple(
        replace(trial, values_ns=trial.values_ns * (1.1 if number % 2 else 1.0))
        for number, trial in enumerate(narrow.trials)
    )
    alarms = model.false_alarms(replace(narrow, trials=mixed), replace(SETTINGS, default_trials=1))
    assert not alarms.ok


def _process(sample_ns: int) -> Process:
    return process([sample_ns] * 40, [1] * 40, [5_000] * 41)


@pytest.mark.parametrize(("null_ns", "ok"), [(60, True), (100, True), (101, False)])
def test_overhead_is_held_against_twice_two_reads_of_the_clock(null_ns: int, ok: bool) -> None:
    check = overhead.evaluate([_process(null_ns)] * 3, [_process(50)] * 3)
    assert (check.value, check.bound, check.ok) == (null_ns, 100, ok)
    assert check.details["clock_reads_ns"] == 50


@pytest.mark.parametrize(("ours_ns", "ok"), [(20_300_000, True), (20_310_000, False), (19_800_000, False)])
def test_a_sleep_is_judged_after_the_plain_loops_overshoot(ours_ns: int, ok: bool) -> None:
    check = behaviours.evaluate_sleep([_process(ours_ns)], [_process(20_105_000)])
    assert check.ok == ok


@pytest.mark.parametrize(
    ("seen_bytes", "life_ns", "ok"), [(1000, 4e6, True), (985, 4e6, False), (1015, 4e6, False), (1000, 6e6, False)]
)
def test_an_allocation_is_judged_by_its_worst_trial(seen_bytes: int, life_ns: float, ok: bool) -> None:
    check = behaviours.evaluate_allocations({1000: [1000, seen_bytes]}, life_ns)
    assert check.ok == ok
    assert check.value == pytest.approx(abs(seen_bytes / 1000 - 1))


def test_bounds_hold_on_their_edges_and_a_missing_figure_is_no_success() -> None:
    assert judge("aa_false_alarms", 0.05, 0.05).ok
    assert judge("bare_loop_ratio", 0.98, (0.98, 1.02)).ok
    assert judge("plain_cv", 3.0, None).ok
    assert not judge("undisturbed_cv", None, 0.015).ok
    assert all(kind.meaning and kind.remedy for kind in KINDS.values())
