"""What runners offer, as a table for people and as objects for programs."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.certificates import SOON, Told
from orchestrator.survey import Offer


def as_objects(offers: Sequence[Offer]) -> list[dict[str, Any]]:
    """One object per runner; times in ISO 8601."""
    return [asdict(offer) | {"certificate": _certificate(offer.certificate)} for offer in offers]


def as_table(offers: Sequence[Offer]) -> RenderableType:
    """One row per runner that answers; below, what it computes with, and a line for each that does not answer."""
    table = Table(box=box.SIMPLE, pad_edge=False, collapse_padding=True)
    for heading in ("host", "runner", "health", "isolation", "devices", "CPUs", "round trip"):
        table.add_column(heading)
    there = [offer for offer in offers if offer.problem is None]
    for offer in there:
        table.add_row(*map(Text, _cells(offer)))
    problems = [Text(f"✗ {_name(offer)}: {offer.problem}") for offer in offers if offer.problem]
    return Group(*([table] if there else []), *(Text(f"{_name(offer)}: {_told(offer)}") for offer in there), *problems)


def _name(offer: Offer) -> str:
    return f"{offer.host}/{offer.runner}"


def _cells(offer: Offer) -> tuple[str, ...]:
    round_trip = f"{(offer.round_trip_ns or 0) / 1e6:.1f} ms"
    who = (offer.host, offer.runner, offer.health or "", offer.isolation or "")
    return (*who, "\n".join(offer.devices), str(offer.available_cpus), round_trip)


def _told(offer: Offer) -> str:
    """Versions and, of a certificate, the end and the fingerprint as the runner printed it."""
    told = [f"{name} {version}" for name, version in sorted((offer.versions or {}).items())]
    if offer.certificate:
        soon = offer.certificate.ends_at < datetime.now(UTC) + SOON
        told.append(f"certificate until {offer.certificate.ends_at:%Y-%m-%d}{', renew it' if soon else ''}")
        told.append(f"SHA-256 {offer.certificate.fingerprint}")
    return ", ".join(told)


def _certificate(certificate: Told | None) -> dict[str, str] | None:
    if certificate is None:
        return None
    return {"ends_at": certificate.ends_at.isoformat(timespec="seconds"), "fingerprint": certificate.fingerprint}
