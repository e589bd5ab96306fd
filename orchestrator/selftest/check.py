"""A check that has been made, and what its figure means. Pure."""

from dataclasses import dataclass, field
from typing import Literal

from orchestrator.artifacts import JSON

Bound = float | tuple[float, float] | None
Unit = Literal["ns", "ratio", "share"]


@dataclass(frozen=True)
class Kind:
    """A check before it is made: the unit of its figure, what that means, and what to do when it misses its bound."""

    unit: Unit
    meaning: str
    remedy: str


_QUIETER = "close other programs or take a quieter machine, then repeat"
_REPORT = "repeat; if it stays, report it with the JSON"

KINDS = {
    "null_overhead_ns": Kind(
        "ns", "sample of a runtime that does nothing; bound: twice two reads of the clock", _REPORT
    ),
    "bare_loop_ratio": Kind("ratio", "median that portbench reports over that of a plain loop", _REPORT),
    "sleep_error": Kind("share", "error for a known sleep, after a plain loop's own overshoot", _QUIETER),
    "allocation_error": Kind("share", "error of the peak for a known, short-lived allocation", _REPORT),
    "aa_false_alarms": Kind("share", "equal cases that are called different", _QUIETER),
    "shift_detected": Kind("share", "cases made 3 % slower that are called slower", _QUIETER),
    "server_cpu_share": Kind("share", "processor time of the server while its worker is timed", _REPORT),
    "plain_cv": Kind("share", "scatter of fresh processes by their medians as seen", "for information"),
    "undisturbed_cv": Kind("share", "scatter of fresh processes by their undisturbed medians", _QUIETER),
    "long_plain_cv": Kind("share", "the same for samples that outlast quiet spells, as seen", "for information"),
    "long_undisturbed_cv": Kind("share", "the same, adjusted; bound: a third of it as seen", _QUIETER),
}
"""Every check, in the order in which they are shown."""


@dataclass(frozen=True)
class Check:
    """`value` and `bound` are in the unit of the check's kind; a pair is the lowest and the highest that is right.

    Without a value the check could not be made and `message` says why; without a bound the value is for information.
    """

    name: str
    value: float | None
    bound: Bound
    ok: bool
    message: str | None = None
    details: dict[str, JSON] = field(default_factory=dict)


def judge(name: str, value: float | None, bound: Bound, **details: JSON) -> Check:
    """Whether the value is within the bound, a single one being the highest that is right."""
    if value is None:
        return Check(name, None, bound, ok=False, message="no undisturbed moment was seen", details=details)
    low, high = bound if isinstance(bound, tuple) else (0.0, bound)
    return Check(name, value, bound, ok=high is None or low <= value <= high, details=details)


def not_made(name: str, message: str) -> Check:
    """A check that something prevented."""
    return Check(name, None, None, ok=False, message=message)
