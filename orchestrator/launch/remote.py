"""Runners that are already up at an address."""

import ipaddress

from orchestrator.errors import CaseFailure, Stage, Symptom
from orchestrator.inventory import RunnerEntry
from orchestrator.launch import Launched


def find(entry: RunnerEntry) -> Launched:
    """The runner at the entry's address, which must be a Unix socket, or loopback with `plaintext: true`.

    Raises:
        CaseFailure: the connection would be plain text where it may not be.
    """
    address = entry.address or ""
    if not address.startswith("unix:"):
        if not entry.plaintext:
            raise _refused(
                entry,
                "needs TLS, which this version does not speak yet; use a Unix socket, or loopback "
                "with 'plaintext: true'",
            )
        if not _is_loopback(address.rpartition(":")[0]):
            raise _refused(entry, "may not be reached in plain text; only loopback may")
    return Launched(address, "remote")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _refused(entry: RunnerEntry, reason: str) -> CaseFailure:
    return CaseFailure(Stage.SHIP, Symptom.REFUSED, f"the runner {entry.name} at {entry.address} {reason}")
