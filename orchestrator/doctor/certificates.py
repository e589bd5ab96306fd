"""The certificates of ~/.config/portbench/certs: until when they are valid, and who may read their keys."""

from datetime import UTC, datetime
from pathlib import Path

from orchestrator.certificates import AUTHORITY, SOON, Told, default_folder
from orchestrator.doctor.finding import Finding, not_here, ok, warning
from orchestrator.doctor.machine import Machine

_OTHERS = 0o077


def validity(_machine: Machine) -> Finding:
    """Of the authority's and of each that it issued."""
    ends = {file.parent.name: _end(file) for file in _files("*/*.crt") if _is_own(file)}
    if not ends:
        return not_here(f"no certificates in {default_folder()}; only runners on other machines need them")
    now = datetime.now(UTC)
    bad = [(name, _told(end, now)) for name, end in ends.items() if end is None or end < now + SOON]
    if not bad:
        first = min(end for end in ends.values() if end)
        return ok(f"{len(ends)} in {default_folder()}, the first expires on {first:%Y-%m-%d}")
    remedy = "; ".join(_renewal(name) for name, _ in bad)
    return warning(", ".join(f"that of {name} {told}" for name, told in bad), remedy)


def keys(_machine: Machine) -> Finding:
    """For the owner alone."""
    found = _files("*/*.key")
    if not found:
        return not_here("no keys")
    readable = [file for file in found if file.stat().st_mode & _OTHERS]
    if readable:
        names = " ".join(map(str, readable))
        return warning(f"others may read {names}", f"chmod 600 {names}; if somebody did, issue them anew")
    return ok("keys are for their owner alone")


def _files(pattern: str) -> list[Path]:
    return sorted(default_folder().glob(pattern))


def _is_own(file: Path) -> bool:
    """Beside an issued certificate lies the authority's, which is looked at once."""
    return file.name == "tls.crt" or (file.parent.name == AUTHORITY and file.name == "ca.crt")


def _end(file: Path) -> datetime | None:
    try:
        return Told.of(file.read_bytes()).ends_at
    except (OSError, ValueError):
        return None


def _told(end: datetime | None, now: datetime) -> str:
    if end is None:
        return "cannot be read"
    return f"{'expired' if end < now else 'expires'} on {end:%Y-%m-%d}"


def _renewal(name: str) -> str:
    if name == AUTHORITY:
        return f"remove {default_folder()}, 'portbench certs init', then issue every certificate anew"
    return f"portbench certs issue {name}"
