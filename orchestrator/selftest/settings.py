"""How much the self-test measures."""

from dataclasses import dataclass

from orchestrator.suite import StopRule, Trials

THOROUGH_TRIALS = 15
"""Timing trials of a case with the `thorough` settings."""

_RULE = StopRule(min_time_s=0.3, max_time_s=1.5, max_warmup_s=0.5)


@dataclass(frozen=True)
class Settings:
    """`processes`: fresh processes that time the model, enough for two sides of a thorough comparison.

    `bare_processes`: fresh processes of plain loops, spread among them; `pairs`: comparisons; `default_trials` and
    `thorough_trials`: trials of one side of a comparison; `repeats`: fresh processes of each other measurement;
    `rule`: when a trial of the model has enough; `window_s`: how long the server is watched.
    """

    processes: int = 2 * THOROUGH_TRIALS
    bare_processes: int = THOROUGH_TRIALS
    pairs: int = 200
    default_trials: int = Trials().timing
    thorough_trials: int = THOROUGH_TRIALS
    repeats: int = 5
    rule: StopRule = _RULE
    window_s: float = 3.0
