"""A case across campaigns, oldest first. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.results import statistics
from orchestrator.results.pairs import Condition, changes, name_of
from orchestrator.results.selection import Name
from orchestrator.results.statistics import Estimate
from orchestrator.results.summary import CaseSummary, Measured


@dataclass(frozen=True)
class MeasuredCampaign:
    """A campaign under the name that a reader knows; `created_at` in ISO 8601, UTC; `cases` from `summary.measure`."""

    name: str
    created_at: str
    cases: Sequence[Measured]


@dataclass(frozen=True)
class Entry:
    """A case in one campaign.

    `ratio`: its median over that of the first campaign that timed the case, above 1 when it has become slower; None
    for that one. `changed`: the conditions that are not those of the entry before, in words.
    """

    campaign: str
    created_at: str
    case: CaseSummary
    ratio: Estimate | None
    changed: Mapping[Condition, str]


def history(campaigns: Sequence[MeasuredCampaign]) -> list[list[Entry]]:
    """Of each case its entries, oldest first. What is not the same in between is told, never hidden: no verdicts."""
    found: dict[Name, list[tuple[MeasuredCampaign, Measured]]] = {}
    for campaign in sorted(campaigns, key=lambda campaign: campaign.created_at):
        for case in campaign.cases:
            found.setdefault(name_of(case.summary), []).append((campaign, case))
    return [_entries(of_case) for of_case in found.values()]


def _entries(of_case: Sequence[tuple[MeasuredCampaign, Measured]]) -> list[Entry]:
    first = next((case for _, case in of_case if case.trials), None)
    entries = []
    before = of_case[0][1]
    for campaign, case in of_case:
        timed = first is not None and case is not first and case.trials
        ratio = statistics.compare(case.trials, first.trials) if first and timed else None
        entries.append(Entry(campaign.name, campaign.created_at, case.summary, ratio, changes(before, case)))
        before = case
    return entries
