"""One figure of a case in two campaigns: worse, better, no difference shown, not comparable. Pure.

The p-values here are those of a single comparison; `comparison` adjusts them for the number of cases.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from orchestrator.results import scoring, statistics
from orchestrator.results.attacks import SIGNIFICANT
from orchestrator.results.schema import AttackSection, Row
from orchestrator.results.scoring import Paired, Rate, Unpaired
from orchestrator.results.statistics import Estimate
from orchestrator.results.summary import CaseSummary, Measured

WIDEST_USABLE_INTERVAL = 0.5
"""A median whose interval is wider than this share of it would call next to nothing a difference."""

MOST_BY_NEIGHBOURS = 2.0
"""A neighbour takes half of a physical core: medians that interference could not be taken out of may differ by this
factor for nothing (docs/interference.md)."""

BY_ROUNDING = 2.0
"""Another order of summation moves an error by up to this factor, for nothing."""

LEAST_OF_TOLERANCE = 0.01
"""Errors below this share of the check's tolerance are those of rounding, whatever their ratio."""

Sides = tuple[float | None, float | None]

NOT_TIMED = "neither side was timed"
_OTHER_INPUTS = "it was asked about other test inputs"

_RANKS = {"ok": 0, "wrong": 1, "failed": 2}


class Judgement(StrEnum):
    """Of a figure of the other campaign beside that of the base."""

    WORSE = "worse"
    BETTER = "better"
    NO_DIFFERENCE = "no-difference"
    NOT_COMPARABLE = "not-comparable"


_OF_RATIO = {
    statistics.Verdict.SLOWER: Judgement.WORSE,
    statistics.Verdict.FASTER: Judgement.BETTER,
    statistics.Verdict.NO_DIFFERENCE: Judgement.NO_DIFFERENCE,
}


@dataclass(frozen=True)
class Finding:
    """A figure in both campaigns.

    `change` is the other's over the base's for time (at one pace of the host), memory, size and errors (null where the
    base's is 0), the other's share less the base's for accuracy, agreement and attacks, null for the status; `low` and
    `high` are the ends of its 95 % interval, or for memory the smallest and largest ratio of two trials. `p_value` is
    null where nothing is left to chance.
    """

    verdict: Judgement
    reason: str
    base: float | str | None = None
    other: float | str | None = None
    change: float | None = None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None


def not_comparable(reason: str, sides: Sides = (None, None)) -> Finding:
    """With what is known of both sides all the same."""
    return Finding(Judgement.NOT_COMPARABLE, reason, *sides)


def of_time(
    base: Measured, other: Measured, threshold: float, obstacle: str | None = None, drift: float | None = None
) -> Finding:
    """The ratio of the medians, as seen on both sides where interference could not be taken out of one.

    `obstacle` is what forbids comparing, if anything does; `drift` how many times as long the host took for the other
    by itself, where that is known.
    """
    as_seen = "as-seen" in (base.summary.median_basis, other.summary.median_basis)
    name = "median_as_seen_ns" if as_seen else "median_ns"
    sides = getattr(base.summary, name), getattr(other.summary, name)
    reason = (
        _not_right(base.summary, "the base")
        or _not_right(other.summary, "it")
        or obstacle
        or _not_timed(base, other)
        or _unusable(base.summary, "the base")
        or _unusable(other.summary, "it")
    )
    if reason:
        return not_comparable(reason, sides)
    found = statistics.compare(other.trials, base.trials, drift or 1.0)
    finding = _of_ratio(found, sides, threshold, statistics.p_value(found))
    if as_seen and _may_be_neighbours(finding):
        reason = f"interference could not be taken out, and explains up to {MOST_BY_NEIGHBOURS:g}x"
        return replace(finding, verdict=Judgement.NOT_COMPARABLE, reason=reason)
    return finding


def of_status(base: CaseSummary, other: CaseSummary) -> Finding:
    """Whatever else differs: to fail is no matter of degree."""
    step = _RANKS[other.status] - _RANKS[base.status]
    if step == 0:
        return Finding(Judgement.NO_DIFFERENCE, f"{other.status} in both", base.status, other.status)
    reason = f"{base.status} became {other.status}"
    if step < 0:
        return Finding(Judgement.BETTER, reason, base.status, other.status)
    return Finding(Judgement.WORSE, f"{reason}: {_explained(other)}", base.status, other.status)


def of_memory(base: Measured, other: Measured, threshold: float, obstacle: str | None) -> Finding | None:
    """Peaks of few trials: a difference is one where no trial of one side is like one of the other."""
    sides = base.summary.peak_bytes, other.summary.peak_bytes
    if not (base.peaks_bytes and other.peaks_bytes) or obstacle:
        return _unless_both(sides, obstacle)
    low = min(other.peaks_bytes) / max(base.peaks_bytes)
    high = max(other.peaks_bytes) / min(base.peaks_bytes)
    return _of_ratio(Estimate(_ratio(sides), low, high), sides, threshold)


def of_size(base: CaseSummary, other: CaseSummary, threshold: float, obstacle: str | None) -> Finding | None:
    """A file has one size."""
    sides = base.artifact_bytes, other.artifact_bytes
    if not all(sides) or obstacle:
        return _unless_both(sides, obstacle)
    found = _ratio(sides)
    return _of_ratio(Estimate(found, found, found), sides, threshold)


def of_share(base: Measured, other: Measured, name: str, obstacle: str | None) -> Finding | None:
    """`accuracy` or `label_agreement` on the same test inputs, whose rows have the counts only."""
    sides = getattr(base.summary, name), getattr(other.summary, name)
    rates = _rate(base.check, sides[0]), _rate(other.check, sides[1])
    if obstacle or rates[0] is None or rates[1] is None:
        return _unless_both(sides, obstacle)
    if _inputs(base) != _inputs(other):
        return not_comparable(_OTHER_INPUTS, sides)
    found = Unpaired(rates[0], rates[1])
    return _of_difference(found, sides, found.difference < 0, "Fisher's exact test")


def of_error(base: Measured, other: Measured, name: str, obstacle: str | None) -> Finding | None:
    """`max_abs_error` or `mean_abs_error`, differences to the source's answers to the same test inputs.

    Nothing is left to chance, but rounding is no difference.
    """
    ours, theirs = sides = getattr(base.summary, name), getattr(other.summary, name)
    if ours is None or theirs is None or obstacle:
        return _unless_both(sides, obstacle)
    if _inputs(base) != _inputs(other):
        return not_comparable(_OTHER_INPUTS, sides)
    change = theirs / ours if ours else None
    if max(sides) < LEAST_OF_TOLERANCE * max(_tolerance(base), _tolerance(other)):
        reason = f"both are below {LEAST_OF_TOLERANCE:.0%} of the tolerance"
    elif max(sides) <= BY_ROUNDING * min(sides):
        reason = "changed by no more than rounding does"
    else:
        verdict = Judgement.WORSE if theirs > ours else Judgement.BETTER
        return Finding(verdict, "changed by more than rounding does", *sides, change)
    return Finding(Judgement.NO_DIFFERENCE, reason, *sides, change)


def of_attack(base: Row, other: Row, obstacle: str | None) -> Finding:
    """Shares of the same attacked inputs that fool either side, of those that both classify rightly before."""
    if base.robustness is None or other.robustness is None:
        if base.robustness is not None:
            return Finding(Judgement.WORSE, f"ok became failed ({other.stage} {other.symptom}): {other.message}")
        return not_comparable(f"the base failed ({base.stage} {base.symptom}): {base.message}")
    if obstacle:
        return not_comparable(obstacle)
    if _attacked(base.robustness) != _attacked(other.robustness):
        return not_comparable("it was asked about other attacked inputs")
    found = scoring.between(base.robustness.outcomes, other.robustness.outcomes)
    if not found.scored:
        return not_comparable("no attacked input is classified rightly by both")
    sides = found.source.share, found.converted.share
    return _of_difference(found.paired, sides, found.paired.difference > 0, "McNemar's exact test")


def settled(found: Finding, p_value: float, comparisons: int) -> Finding:
    """With the p-value that was adjusted for that number of comparisons: what chance explains is no difference,
    whatever its size."""
    if found.verdict is Judgement.NO_DIFFERENCE or p_value < SIGNIFICANT:
        return replace(found, p_value=p_value)
    reason = f"not significant: p = {p_value:.2g} among {comparisons} comparisons"
    return replace(found, verdict=Judgement.NO_DIFFERENCE, reason=reason, p_value=p_value)


def _not_right(case: CaseSummary, side: str) -> str | None:
    return None if case.status == "ok" else f"{side} is {case.status} ({_explained(case)})"


def _explained(case: CaseSummary) -> str:
    return f"{case.stage} {case.symptom}: {case.message}"


def _not_timed(base: Measured, other: Measured) -> str | None:
    without = [name for name, side in (("the base", base), ("it", other)) if not side.trials]
    if without:
        return NOT_TIMED if len(without) == 2 else f"{without[0]} was not timed"
    if base.summary.compute_only != other.summary.compute_only:
        return "copies to the device are in the samples of one side only"
    return None


def _unusable(case: CaseSummary, side: str) -> str | None:
    """What is unstable but less so than this can be compared: the interval of the ratio tells how well."""
    if case.trials < 2:
        return f"{side} has one trial only, and how processes differ is unknown"
    width = Estimate(case.median_ns or 0.0, case.median_low_ns, case.median_high_ns).relative_width
    if width is None or width <= WIDEST_USABLE_INTERVAL:
        return None
    return f"{side} is too unstable, the interval of its median is {width:.0%} wide"


def _may_be_neighbours(finding: Finding) -> bool:
    """Whether a seeming difference of medians as seen is within what neighbours do to them."""
    nearest = max(finding.low or 0.0, 1 / (finding.high or 1.0))
    return finding.verdict in (Judgement.WORSE, Judgement.BETTER) and nearest < MOST_BY_NEIGHBOURS


def _ratio(sides: Sides) -> float:
    return (sides[1] or 0.0) / (sides[0] or 1.0)


def _of_ratio(found: Estimate, sides: Sides, threshold: float, p_value: float | None = None) -> Finding:
    """A change counts alike both ways: at a threshold of 3 % the least are 1.03 and 1 / 1.03."""
    verdict = _OF_RATIO[statistics.decision(found, threshold)]
    least = f"{100 * threshold:.3g} %"
    if verdict is not Judgement.NO_DIFFERENCE:
        reason = f"changed by more than {least}, beyond chance"
    elif max(found.value, 1 / found.value) < 1 + threshold:
        reason = f"changed by less than {least}"
    else:
        reason = "the interval holds 1"
    return Finding(verdict, reason, *sides, found.value, found.low, found.high, p_value)


def _of_difference(found: Paired | Unpaired, sides: Sides, is_worse: bool, test: str) -> Finding:
    if found.difference == 0:
        return Finding(Judgement.NO_DIFFERENCE, "equal", *sides, 0.0, *found.interval(), found.p_value())
    verdict = Judgement.WORSE if is_worse else Judgement.BETTER
    told = sides[0], sides[1], found.difference, *found.interval(), found.p_value()
    return Finding(verdict, f"significant by {test}", *told)


def _unless_both(sides: Sides, obstacle: str | None) -> Finding | None:
    """A figure that is not compared; None where neither side has it."""
    return None if sides == (None, None) else not_comparable(obstacle or "one side has no such figure", sides)


def _rate(check: Row | None, share: float | None) -> Rate | None:
    if check is None or check.check is None or share is None:
        return None
    return Rate(round(share * check.check.samples), check.check.samples)


def _attacked(section: AttackSection) -> tuple[str, tuple[int, ...]]:
    return section.attacked_sha256, section.outcomes.labels


def _inputs(side: Measured) -> str | None:
    return side.check.inputs_sha256 if side.check else None


def _tolerance(side: Measured) -> float:
    return side.check.check.tolerance if side.check and side.check.check else 0.0
