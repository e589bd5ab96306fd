"""Runners that are already up at an address."""

import ipaddress

from orchestrator import certificates
from orchestrator.endpoint import Endpoint
from orchestrator.errors import CaseFailure, Stage, Symptom, UsageError
from orchestrator.inventory import RunnerEntry
from orchestrator.launch import Launched
from orchestrator.launch.handshake import HandshakeError, greet


def find(entry: RunnerEntry) -> Launched:
    """The runner at the entry's address: on a Unix socket, over mutual TLS, or on loopback with `plaintext: true`.

    Raises:
        CaseFailure: there is no way to it that both sides accept.
    """
    address = entry.address or ""
    if address.startswith("unix:"):
        return Launched(Endpoint(address), "remote")
    if entry.plaintext and not _is_loopback(Endpoint(address).host):
        raise _failure(entry, Symptom.REFUSED, "may not be reached in plain text; only loopback may")
    try:
        certs = None if entry.plaintext else certificates.orchestrators(certificates.default_folder())
    except UsageError as error:
        raise _failure(entry, Symptom.REFUSED, f"needs mutual TLS, and {error}") from None
    endpoint = Endpoint(address, certs, entry.certificate_name)
    try:
        ends = greet(endpoint)
    except HandshakeError as error:
        raise _failure(entry, Symptom.UNAVAILABLE, str(error)) from None
    return Launched(endpoint, "remote", certificate_ends=ends)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _failure(entry: RunnerEntry, symptom: Symptom, reason: str) -> CaseFailure:
    return CaseFailure(Stage.SHIP, symptom, f"the runner {entry.name} at {entry.address} {reason}")
