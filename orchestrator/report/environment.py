"""Environments, and in what two of them differ, as tables for people and as objects for programs."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.report.units import UNKNOWN
from orchestrator.results.environment import Difference, Facts


def as_table(facts: Facts) -> RenderableType:
    """One line per fact; what all runners agree in stands once."""
    table = _table("fact", "value", "where")
    agreed: dict[tuple[str, str], list[str]] = {}
    for place, known in facts.items():
        for fact, value in known.items():
            agreed.setdefault((fact, _shown(value)), []).append(place)
    for (fact, value), places in agreed.items():
        table.add_row(fact, Text(value), ", ".join(places))
    return table


def differences_as_objects(differences: Sequence[Difference]) -> list[dict[str, Any]]:
    """One object per difference."""
    return [asdict(difference) for difference in differences]


def differences_as_table(differences: Sequence[Difference], first: str, second: str) -> RenderableType:
    """One line per difference; `first` and `second` name the campaigns."""
    if not differences:
        return Text("The environments are equal.")
    table = _table("fact", first, second, "where")
    for difference in differences:
        values = (Text(_shown(value)) for value in (difference.first, difference.second))
        table.add_row(difference.fact, *values, ", ".join(difference.places))
    return table


def _table(*headings: str) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False, collapse_padding=True)
    for heading in headings:
        table.add_column(Text(heading), overflow="fold", no_wrap=heading == "fact")
    return table


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_shown, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.12g}"
    return UNKNOWN if value is None else str(value)
