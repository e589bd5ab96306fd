"""The machines behind a service's name, each as a host of its own."""

import ipaddress
import socket

from orchestrator.inventory import Host, Inventory


def spread(inventory: Inventory) -> Inventory:
    """The inventory with one host, named SERVICE/ADDRESS, for every address behind a service's name now.

    A name that does not resolve stays one host, which turns out to be unreachable when its turn comes.
    """
    return Inventory(hosts=tuple(member for host in inventory.hosts for member in _members(host)))


def _members(host: Host) -> list[Host]:
    if host.service is None:
        return [host]
    name, _, port = host.service.rpartition(":")
    try:
        found = socket.getaddrinfo(name, int(port), type=socket.SOCK_STREAM)
    except socket.gaierror:
        return [host]
    addresses = sorted({ipaddress.ip_address(socket_address[0]) for *_, socket_address in found}, key=int)
    own = {"service": None, "certificate_name": host.certificate_name or name}
    return [
        host.model_copy(update=own | {"name": f"{host.name}/{address}", "address": _target(address, port)})
        for address in addresses
    ]


def _target(address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: str) -> str:
    return f"{address}:{port}" if address.version == 4 else f"[{address}]:{port}"
