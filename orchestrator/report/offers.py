"""What runners offer, as a table for people and as objects for programs."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.survey import Offer


def as_objects(offers: Sequence[Offer]) -> list[dict[str, Any]]:
    """One object per runner; times in ISO 8601."""
    return [asdict(offer) | {"certificate_ends": _iso(offer.certificate_ends)} for offer in offers]


def as_table(offers: Sequence[Offer]) -> RenderableType:
    """One row per runner that answers; below, a line for each that does not."""
    table = Table(box=box.SIMPLE, pad_edge=False, collapse_padding=True)
    for heading in (
        "host",
        "runner",
        "health",
        "isolation",
        "devices",
        "CPUs",
        "round trip",
        "certificate",
        "versions",
    ):
        table.add_column(heading, no_wrap=True)
    for offer in offers:
        if offer.problem is None:
            table.add_row(*map(Text, _cells(offer)))
    problems = [Text(f"✗ {offer.host}/{offer.runner}: {offer.problem}") for offer in offers if offer.problem]
    return Group(*([table] if len(problems) < len(offers) else []), *problems)


def _cells(offer: Offer) -> tuple[str, ...]:
    versions = "\n".join(f"{name} {version}" for name, version in sorted((offer.versions or {}).items()))
    round_trip = f"{(offer.round_trip_ns or 0) / 1e6:.1f} ms"
    devices = "\n".join(offer.devices)
    certificate = f"until {offer.certificate_ends:%Y-%m-%d}" if offer.certificate_ends else ""
    who = (offer.host, offer.runner, offer.health or "", offer.isolation or "")
    return (*who, devices, str(offer.available_cpus), round_trip, certificate, versions)


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="seconds") if moment else None
