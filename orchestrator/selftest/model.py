"""Many fresh processes that time the same model: how they scatter, and whether comparisons of them hold.

The trials of the pool are real; pairs are drawn from it, both sides from different processes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from orchestrator.results import interference, statistics
from orchestrator.results.interference import TrialSamples
from orchestrator.results.statistics import Verdict
from orchestrator.selftest import processes
from orchestrator.selftest.check import Check, judge
from orchestrator.selftest.place import Place, Subject
from orchestrator.selftest.processes import Process
from orchestrator.selftest.settings import Settings

LOWEST_RATIO, HIGHEST_RATIO = 0.98, 1.02
MOST_FALSE_ALARMS = 0.05
SLOWDOWN = 1.03
FEWEST_DETECTED = 0.9
HIGHEST_UNDISTURBED_CV = 0.015
LONG_SHARE_OF_PLAIN = 1 / 3

_SEED = 20220928


@dataclass(frozen=True)
class Pool:
    """Trials of the harness and plain loops around `session.run`, measured in turn."""

    trials: tuple[TrialSamples, ...]
    bare: tuple[TrialSamples, ...]


def collect(place: Place, subject: Subject, settings: Settings, on_process: Callable[[], None]) -> Pool:
    """Measures; each trial knows the best reference so far, as in a campaign."""
    ours: list[Process] = []
    bare: list[Process] = []
    for index in range(settings.processes):
        known_ns = processes.pace([*ours, *bare]).best_ns if ours else 0.0
        ours.append(place.time(subject, settings.rule, known_ns))
        if len(bare) * settings.processes < settings.bare_processes * (index + 1):
            warmup_s, steady_s = settings.rule.max_warmup_s, settings.rule.max_time_s
            bare.append(place.bare_model(subject, warmup_s=warmup_s, steady_s=steady_s))
        on_process()
    pace = processes.pace([*ours, *bare])
    return Pool(tuple(processes.judged(ours, pace)), tuple(processes.judged(bare, pace)))


def collect_long(place: Place, subject: Subject, settings: Settings) -> tuple[TrialSamples, ...]:
    """The same model at a batch size that makes its samples outlast quiet spells."""
    found = [
        place.time(subject, settings.long_rule, batch_size=settings.long_batch_size)
        for _ in range(settings.long_processes)
    ]
    return tuple(processes.judged(found, processes.pace(found)))


def evaluate(pool: Pool, settings: Settings) -> list[Check]:
    """All that the pool tells."""
    return [bare_loop_ratio(pool), false_alarms(pool, settings), detections(pool, settings), *scatter(pool)]


def bare_loop_ratio(pool: Pool) -> Check:
    """Both sides by their undisturbed medians; no value where one side saw no quiet moment."""
    ours, bare = (statistics.median_ns(side) if side else None for side in map(_undisturbed, (pool.trials, pool.bare)))
    return judge(
        "bare_loop_ratio",
        ours / bare if ours and bare else None,
        (LOWEST_RATIO, HIGHEST_RATIO),
        median_ns=ours,
        bare_median_ns=bare,
        ratio_as_seen=statistics.median_ns(pool.trials) / statistics.median_ns(pool.bare),
    )


def false_alarms(pool: Pool, settings: Settings) -> Check:
    """A/A comparisons at the default settings."""
    verdicts = _verdicts(pool, settings.pairs, settings.default_trials, slowdown=1.0)
    alarms = sum(verdict is not Verdict.NO_DIFFERENCE for verdict in verdicts) / len(verdicts)
    return judge("aa_false_alarms", alarms, MOST_FALSE_ALARMS, pairs=len(verdicts), trials=settings.default_trials)


def detections(pool: Pool, settings: Settings) -> Check:
    """Comparisons with one side slowed down, with the thorough settings."""
    verdicts = _verdicts(pool, settings.pairs, settings.thorough_trials, SLOWDOWN)
    found = sum(verdict is Verdict.SLOWER for verdict in verdicts) / len(verdicts)
    return judge("shift_detected", found, (FEWEST_DETECTED, 1.0), pairs=len(verdicts), trials=settings.thorough_trials)


def scatter(pool: Pool) -> list[Check]:
    """Coefficients of variation over the processes of the harness."""
    quiet = _undisturbed(pool.trials)
    plain = judge("plain_cv", _variation(pool.trials), None, processes=len(pool.trials))
    undisturbed = judge(
        "undisturbed_cv",
        _variation(quiet) if quiet else None,
        HIGHEST_UNDISTURBED_CV,
        processes=len(quiet or []),
        undisturbed_share=float(np.mean([trial.undisturbed_mask().mean() for trial in pool.trials])),
    )
    return [plain, undisturbed]


def long_scatter(trials: tuple[TrialSamples, ...]) -> list[Check]:
    """As `scatter`; below the bound of short samples even a third of little is not asked for."""
    corrected, seen = interference.correct(trials), _variation(trials)
    details = {
        "processes": len(trials),
        "median_ns": statistics.median_ns(trials),
        "basis": corrected.basis,
        "sensitivity": corrected.sensitivity,
    }
    bound = max(LONG_SHARE_OF_PLAIN * (seen or 0.0), HIGHEST_UNDISTURBED_CV)
    adjusted = None if corrected.basis == "as-seen" else _variation(corrected.trials)
    return [judge("long_plain_cv", seen, None, **details), judge("long_undisturbed_cv", adjusted, bound, **details)]


def _undisturbed(trials: tuple[TrialSamples, ...]) -> tuple[TrialSamples, ...] | None:
    corrected = interference.correct(trials)
    return None if corrected.basis == "as-seen" else corrected.trials


def _variation(trials: Sequence[TrialSamples]) -> float | None:
    medians = [np.median(trial.values_ns) for trial in trials]
    return float(np.std(medians, ddof=1) / np.mean(medians)) if len(medians) > 1 else None


def _verdicts(pool: Pool, pairs: int, trials: int, slowdown: float) -> list[Verdict]:
    """Of pairs of different trials drawn from the pool, the first side slowed down."""
    random = np.random.default_rng(_SEED)
    verdicts = []
    for _ in range(pairs):
        chosen = [pool.trials[index] for index in random.permutation(len(pool.trials))[: 2 * trials]]
        slowed = [replace(trial, values_ns=trial.values_ns * slowdown) for trial in chosen[:trials]]
        verdicts.append(statistics.decision(statistics.compare(slowed, chosen[trials:])))
    return verdicts
