"""Two campaigns, case by case: what got worse, what got better, and what cannot be said. Pure.

A difference is called one when it is significant and beyond the threshold. Significant: its p-value, adjusted for the
number of cases (Holm 1979; each figure is a family of its own), is below 0.05. Beyond the threshold is the ratio as
measured, not the near end of its interval: asking that of the end would find a slow-down of 5 % at a threshold of 3 %
only where intervals are narrower than 2 % to each side, which 15 trials on a shared machine do not give. So `slower`
means: it is slower, and by more than the threshold as far as we can tell; the interval stands beside it. Shares have no
threshold: one right answer less in a hundred is as many wrong answers in production.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from orchestrator.results import findings, scoring
from orchestrator.results.drift import drifts
from orchestrator.results.findings import Finding, Judgement
from orchestrator.results.pairs import Condition, Pair, changes, name_of, pairs
from orchestrator.results.selection import Name
from orchestrator.results.summary import CaseSummary, Measured

DEFAULT_THRESHOLD = 0.03
"""More than within a campaign: from one to another a machine may change in ways that no reference shows."""

TIME, ATTACKS = "time", "attacks"
_ERRORS = ("max_abs_error", "mean_abs_error")
_OF_PLACE = ("size", "accuracy", "agreement", *_ERRORS)
"""Figures of an artifact on a runner; its cases of several batch sizes and threads share them."""


@dataclass(frozen=True)
class CaseComparison:
    """A case in both campaigns, named as the base names it where it has it.

    `changed`: the conditions that are not the same, in words. `figures`: `time` and, unless neither side has it,
    `status`, `memory`, `size`, `accuracy`, `agreement`, `max_abs_error`, `mean_abs_error`. `attacks`: by name those
    that both sides were under. `drift`: from `drift.drifts`, where it was taken out of the time.
    """

    case: CaseSummary
    changed: Mapping[Condition, str]
    figures: Mapping[str, Finding]
    attacks: Mapping[str, Finding] = field(default_factory=dict)
    drift: float | None = None

    def findings(self) -> Iterator[tuple[str, Name, Finding]]:
        """All of them: the figure's name, that of attacks for each of those; what it is a figure of; the finding."""
        place = name_of(self.case, without=("batch_size", "threads"))
        for figure, finding in self.figures.items():
            yield figure, place if figure in _OF_PLACE else name_of(self.case), finding
        for attack, finding in self.attacks.items():
            yield ATTACKS, (*place, attack), finding


@dataclass(frozen=True)
class Comparison:
    """All cases of both campaigns; `shared` is the number of those that both have."""

    threshold: float
    across: tuple[Condition, ...]
    shared: int
    cases: tuple[CaseComparison, ...]

    @property
    def got_worse(self) -> bool:
        """Whether any figure of any case did."""
        return any(found.verdict is Judgement.WORSE for case in self.cases for _, _, found in case.findings())


def compare(
    base: Sequence[Measured],
    other: Sequence[Measured],
    threshold: float = DEFAULT_THRESHOLD,
    across: Collection[Condition] = (),
) -> Comparison:
    """The other campaign held against the base.

    Args:
        base: from `summary.measure`.
        other: likewise.
        threshold: smallest change of time, memory or size that is called one, as a share.
        across: conditions that are meant to differ. Where another one does, nothing but the status is compared.
    """
    paired = pairs(base, other)
    cases = [_case(pair, threshold, across, drift) for pair, drift in zip(paired, drifts(paired), strict=True)]
    shared = sum(pair.base is not None and pair.other is not None for pair in paired)
    adjusted = _adjusted(cases)
    declared = tuple(condition for condition in Condition if condition in across)
    return Comparison(threshold, declared, shared, tuple(_corrected(case, adjusted) for case in cases))


def _case(pair: Pair, threshold: float, across: Collection[Condition], drift: float | None) -> CaseComparison:
    """With p-values as if it were the only one."""
    base, other = pair.base, pair.other
    if base is None or other is None:
        missing = "only the base has this case" if base else "the base has no such case"
        return CaseComparison(pair.named, {}, {TIME: findings.not_comparable(missing)})
    changed = changes(base, other)
    undeclared = [f"{condition} differs, {words}" for condition, words in changed.items() if condition not in across]
    obstacle = "; ".join(undeclared) or None
    figures = {
        TIME: findings.of_time(base, other, threshold, obstacle, drift),
        "status": findings.of_status(base.summary, other.summary),
        "memory": findings.of_memory(base, other, threshold, obstacle),
        "size": findings.of_size(base.summary, other.summary, threshold, obstacle),
        "accuracy": findings.of_share(base, other, "accuracy", obstacle),
        "agreement": findings.of_share(base, other, "label_agreement", obstacle),
        **{name: findings.of_error(base, other, name, obstacle) for name in _ERRORS},
    }
    theirs = {str(row.attack): row for row in other.attacks}
    ours = {str(row.attack): row for row in base.attacks}
    attacks = {name: findings.of_attack(row, theirs[name], obstacle) for name, row in ours.items() if name in theirs}
    told = {name: found for name, found in figures.items() if found}
    return CaseComparison(pair.named, changed, told, attacks, drift if told[TIME].change is not None else None)


_Adjusted = Mapping[str, Mapping[Name, float]]


def _adjusted(cases: Sequence[CaseComparison]) -> _Adjusted:
    """P-values by figure and what it is a figure of, adjusted for the number of these."""
    families: dict[str, dict[Name, float]] = defaultdict(dict)
    for case in cases:
        for figure, subject, found in case.findings():
            if found.p_value is not None:
                families[figure][subject] = found.p_value
    return {
        figure: dict(zip(family, scoring.holm(list(family.values())), strict=True))
        for figure, family in families.items()
    }


def _corrected(case: CaseComparison, adjusted: _Adjusted) -> CaseComparison:
    settled = [_settled(found, adjusted.get(figure, {}), subject) for figure, subject, found in case.findings()]
    figures = dict(zip(case.figures, settled, strict=False))
    return replace(case, figures=figures, attacks=dict(zip(case.attacks, settled[len(figures) :], strict=True)))


def _settled(found: Finding, family: Mapping[Name, float], subject: Name) -> Finding:
    return found if found.p_value is None else findings.settled(found, family[subject], len(family))
