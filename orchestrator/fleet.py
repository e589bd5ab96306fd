"""The machines behind a service's name, each as a host of its own."""

import ipaddress
import socket

from pydantic import ValidationError

from orchestrator import addresses
from orchestrator.errors import UsageError
from orchestrator.inventory import Host, Inventory


def spread(inventory: Inventory) -> Inventory:
    """The inventory with one host, named SERVICE/ADDRESS, for every address behind a service's name now.

    A name with addresses of both families stands for the IPv4 ones, lest a machine be two hosts. One that does not
    resolve stays one host, which turns out to be unreachable when its turn comes.

    Raises:
        UsageError: such a name is that of another host.
    """
    try:
        return Inventory(hosts=tuple(member for host in inventory.hosts for member in _members(host)))
    except ValidationError as error:
        raise UsageError(error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")) from None


def _members(host: Host) -> list[Host]:
    if host.service is None:
        return [host]
    name, port = addresses.split(host.service)
    try:
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except OSError:
        return [host]
    family = min(family for family, *_ in found)  # AF_INET is less than AF_INET6, everywhere
    machines = sorted(
        {ipaddress.ip_address(at[0]) for found_family, *_, at in found if found_family == family}, key=int
    )
    own = {"service": None, "certificate_name": host.certificate_name or name}
    return [
        host.model_copy(update=own | {"name": f"{host.name}/{machine}", "address": addresses.join(str(machine), port)})
        for machine in machines
    ]
