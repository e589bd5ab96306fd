"""A case across campaigns, oldest first. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

from orchestrator.results import statistics
from orchestrator.results.drift import drifts
from orchestrator.results.pairs import Condition, changes, name_of, pairs
from orchestrator.results.selection import Name
from orchestrator.results.statistics import Estimate
from orchestrator.results.summary import CaseSummary, Measured

_Drifts: TypeAlias = Mapping[int, float | None]


@dataclass(frozen=True, eq=False)
class MeasuredCampaign:
    """A campaign under the name that a reader knows; `created_at` in ISO 8601, UTC; `cases` from `summary.measure`."""

    name: str
    created_at: str
    cases: Sequence[Measured]


@dataclass(frozen=True)
class Entry:
    """A case in one campaign.

    `ratio`: its median over that of the first campaign that timed the case, above 1 when it has become slower; None for
    that one. `drift`: from `drift.drifts`, where it was taken out of the ratio. `changed`: the conditions that are not
    those of the entry before, in words.
    """

    campaign: str
    created_at: str
    case: CaseSummary
    ratio: Estimate | None
    drift: float | None
    changed: Mapping[Condition, str]


def history(campaigns: Sequence[MeasuredCampaign]) -> list[list[Entry]]:
    """Of each case its entries, oldest first. What is not the same in between is told, never hidden: no verdicts."""
    found: dict[Name, list[tuple[MeasuredCampaign, Measured]]] = {}
    for campaign in sorted(campaigns, key=lambda campaign: campaign.created_at):
        for case in campaign.cases:
            found.setdefault(name_of(case.summary), []).append((campaign, case))
    between = cache(_drifts)
    return [_entries(of_case, between) for of_case in found.values()]


_Of: TypeAlias = tuple[MeasuredCampaign, Measured]


def _entries(of_case: Sequence[_Of], between: Callable[[MeasuredCampaign, MeasuredCampaign], _Drifts]) -> list[Entry]:
    first = next((entry for entry in of_case if entry[1].trials), None)
    entries = []
    before = of_case[0][1]
    for campaign, case in of_case:
        ratio, drift = None, None
        if first and case is not first[1] and case.trials:
            drift = between(first[0], campaign).get(id(case))
            ratio = statistics.compare(case.trials, first[1].trials, drift or 1.0)
        entries.append(Entry(campaign.name, campaign.created_at, case.summary, ratio, drift, changes(before, case)))
        before = case
    return entries


def _drifts(base: MeasuredCampaign, other: MeasuredCampaign) -> _Drifts:
    """By the identity of the other's cases."""
    paired = pairs(base.cases, other.cases)
    return {id(pair.other): drift for pair, drift in zip(paired, drifts(paired), strict=True)}
