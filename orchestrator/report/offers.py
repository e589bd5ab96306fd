"""What runners offer, as a table for people and as objects for programs."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.certificates import Told
from orchestrator.survey import Offer

SOON = timedelta(days=30)
"""A certificate that ends before is to be renewed."""


def as_objects(offers: Sequence[Offer]) -> list[dict[str, Any]]:
    """One object per runner; times in ISO 8601."""
    return [asdict(offer) | {"certificate": _certificate(offer.certificate)} for offer in offers]


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
    certificate = _told(offer.certificate) if offer.certificate else ""
    who = (offer.host, offer.runner, offer.health or "", offer.isolation or "")
    return (*who, devices, str(offer.available_cpus), round_trip, certificate, versions)


def _told(certificate: Told) -> str:
    """The end, and as much of the fingerprint as tells two apart."""
    soon = certificate.ends_at < datetime.now(UTC) + SOON
    return f"until {certificate.ends_at:%Y-%m-%d}{', renew it' if soon else ''}\n{certificate.fingerprint[:23]}..."


def _certificate(certificate: Told | None) -> dict[str, str] | None:
    if certificate is None:
        return None
    return {"ends_at": certificate.ends_at.isoformat(timespec="seconds"), "fingerprint": certificate.fingerprint}
