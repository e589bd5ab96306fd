"""How much the self-test measures."""

from dataclasses import dataclass

from orchestrator.suite import StopRule, Trials

THOROUGH_TRIALS = 15
"""Timing trials of a case in the suite `thorough`."""

_RULE = StopRule(min_time_s=0.3, max_time_s=1.5, max_warmup_s=0.5)
_LONG_RULE = StopRule(min_samples=60, min_time_s=1.0, min_undisturbed_samples=0, max_time_s=2.0, max_warmup_s=0.5)


@dataclass(frozen=True)
class Settings:
    """`processes`: fresh processes that time the model, enough for two sides of a thorough comparison.

    `bare_processes`: fresh processes of plain loops, spread among them; `pairs`: comparisons; `default_trials` and
    `thorough_trials`: trials of one side of a comparison; `repeats`: fresh processes of each other measurement;
    `rule`: when a trial of the model has enough; `long_processes`, `long_batch_size`, `long_rule`: likewise for samples
    that outlast quiet spells; `window_s`: how long the server is watched.
    """

    processes: int = 2 * THOROUGH_TRIALS
    bare_processes: int = THOROUGH_TRIALS
    pairs: int = 200
    default_trials: int = Trials().timing
    thorough_trials: int = THOROUGH_TRIALS
    repeats: int = 5
    rule: StopRule = _RULE
    long_processes: int = 20
    long_batch_size: int = 256
    long_rule: StopRule = _LONG_RULE
    window_s: float = 3.0
