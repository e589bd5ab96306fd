"""What the page's charts draw, as plain objects for JSON. Nothing is drawn here."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from orchestrator.report import robustness
from orchestrator.report.answer import conversion_of, network_of
from orchestrator.report.html.columns import COLUMNS
from orchestrator.results.summary import CaseSummary, is_source

_MORE = {
    "import": "import_ns",
    "warmup": "warmup_ns",
    "low": "median_low_ns",
    "high": "median_high_ns",
    "ratio_low": "ratio_to_source_low",
    "ratio_high": "ratio_to_source_high",
}


def cases_drawn(cases: Sequence[CaseSummary]) -> list[dict[str, Any]]:
    """Of each case, in order: the columns' values, those of `_MORE`, `front` (on the Pareto front) and `source` (the
    number of the case of the source framework's own runtime in the same setting). What is null is left out."""
    front = pareto(cases)
    sources = {_setting(case): number for number, case in enumerate(cases) if is_source(case)}
    drawn = []
    for number, case in enumerate(cases):
        told: dict[str, Any] = {column.key: column.value(case) for column in COLUMNS}
        told |= {key: getattr(case, name) for key, name in _MORE.items()}
        told |= {"front": number in front or None, "source": sources.get(_setting(case))}
        drawn.append({key: _short(value) for key, value in told.items() if value is not None})
    return drawn


def attacks_drawn(cases: Sequence[CaseSummary]) -> list[dict[str, Any]]:
    """Of each attack on a converted model: the difference of the shares that are wrong, with its interval, and whether
    it is what the verdict counts."""
    return [
        {
            "network": network_of(case),
            "conversion": conversion_of(case),
            "host": case.host,
            "device": case.device,
            "attack": attack.attack,
            "difference": attack.difference,
            "low": attack.difference_low,
            "high": attack.difference_high,
            "counts": attack.compared and attack.distance_ratio is None,
        }
        for case in robustness.places(cases)
        if not is_source(case)
        for attack in case.attacks
        if attack.difference is not None
    ]


def pareto(cases: Sequence[CaseSummary]) -> set[int]:
    """Numbers of the cases that no other one of the same network and batch size beats in time and accuracy."""
    groups: dict[tuple[str, int | None], list[tuple[float, float, int]]] = defaultdict(list)
    for number, case in enumerate(cases):
        if case.median_ns is not None and case.accuracy is not None:
            groups[network_of(case), case.batch_size].append((case.median_ns, -case.accuracy, number))
    front = set()
    for group in groups.values():
        best = 1.0
        for _, wrong, number in sorted(group):
            if wrong < best:
                best = wrong
                front.add(number)
    return front


def _setting(case: CaseSummary) -> tuple[Any, ...]:
    return (case.model, case.source_framework, case.host, case.device, case.batch_size, case.threads)


def _short(value: Any) -> Any:
    """Six digits are enough to draw by."""
    return float(f"{value:.6g}") if isinstance(value, float) else value
