"""What runners offer, as a table for people and as objects for programs."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.markup import escape
from rich.table import Table

from orchestrator.survey import Offer


def as_objects(offers: Sequence[Offer]) -> list[dict[str, Any]]:
    """One object per runner."""
    return [asdict(offer) for offer in offers]


def as_table(offers: Sequence[Offer]) -> Table:
    """One line per runner: what it offers, or what is wrong with it."""
    table = Table("host", "runner", "isolation", "devices", "CPUs", "round trip", "versions, or what is wrong")
    for offer in offers:
        table.add_row(offer.host, offer.runner, *_cells(offer))
    return table


def _cells(offer: Offer) -> tuple[str, ...]:
    if offer.problem is not None:
        return ("-", "-", "-", "-", f"✗ {escape(offer.problem)}")
    versions = ", ".join(f"{name} {version}" for name, version in sorted((offer.versions or {}).items()))
    round_trip = f"{(offer.round_trip_ns or 0) / 1e6:.1f} ms"
    return (offer.isolation or "-", ", ".join(offer.devices), str(offer.available_cpus), round_trip, versions)
