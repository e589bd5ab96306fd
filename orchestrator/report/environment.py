"""Environments, and in what two of them differ, as tables for people and as objects for programs."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.report import units
from orchestrator.results.environment import Difference, Facts, facts
from orchestrator.results.schema import Campaign


def as_table(known: Facts) -> RenderableType:
    """One line per fact; what all runners agree in stands once."""
    table = _table("fact", "value", "where")
    for fact, value, places in agreed(known):
        table.add_row(*_literal(fact, value, ", ".join(places)))
    return table


def agreed(known: Facts) -> list[tuple[str, str, list[str]]]:
    """Each fact with each of its values and the places that have it."""
    found: dict[tuple[str, str], list[str]] = {}
    for place, of_place in known.items():
        for fact, value in of_place.items():
            found.setdefault((fact, _shown(value)), []).append(place)
    return [(fact, value, places) for (fact, value), places in found.items()]


def hosts(campaign: Campaign) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """The hosts, and the facts in which they differ with the value on each."""
    names = list(dict.fromkeys(name.partition("/")[0] for name in campaign.runners))
    known = facts(campaign)
    values: dict[str, dict[str, set[str]]] = {}
    for name in campaign.runners if len(names) > 1 else ():
        for fact, value in known[name].items():
            values.setdefault(fact, {}).setdefault(name.partition("/")[0], set()).add(_shown(value))
    differing = {fact: on for fact, on in values.items() if any(on.get(name) != on.get(names[0]) for name in names)}
    return names, [(fact, [", ".join(sorted(on.get(name, ()))) for name in names]) for fact, on in differing.items()]


def differences_as_objects(differences: Sequence[Difference]) -> list[dict[str, Any]]:
    """One object per difference."""
    return [asdict(difference) for difference in differences]


def differences_as_table(differences: Sequence[Difference], first: str, second: str) -> RenderableType:
    """One line per difference; `first` and `second` name the campaigns."""
    if not differences:
        return Text("The environments are equal.")
    table = _table("fact", first, second, "where")
    for difference in differences:
        values = (_shown(value) for value in (difference.first, difference.second))
        table.add_row(*_literal(difference.fact, *values, ", ".join(difference.places)))
    return table


def _table(*headings: str) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False, collapse_padding=True)
    for heading in headings:
        table.add_column(Text(units.literal(heading)), overflow="fold", no_wrap=heading == "fact")
    return table


def _literal(*cells: str) -> Iterator[Text]:
    """As text, whatever markup somebody else's results hold."""
    return (Text(units.literal(cell)) for cell in cells)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_shown, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.12g}"
    return units.UNKNOWN if value is None else str(value)
