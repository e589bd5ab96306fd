"""The inventory: which runners there are and on which host each lives."""

import platform
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from orchestrator import addresses
from orchestrator.configuration import Configuration, load, name_of_null
from orchestrator.errors import UsageError
from orchestrator.runtimes import RUNNERS, RunnerKind


def _known_runner(name: str) -> str:
    if name not in RUNNERS:
        raise ValueError(f"unknown runner; choose from {', '.join(RUNNERS)}")
    return name


def _address(address: str) -> str:
    if address.startswith("unix:"):
        return address
    try:
        return addresses.join(*addresses.split(address))
    except ValueError as error:
        raise ValueError(f"{error}; give HOST:PORT, [IPv6]:PORT or unix:PATH") from None


Address = Annotated[str, AfterValidator(_address)]


class RunnerEntry(Configuration):
    """A runner of a host: started by the campaign or, with an address, already up.

    `address` is a gRPC target: `unix:PATH`, or `HOST:PORT` where it serves mutual TLS with a certificate for HOST or
    for `certificate_name`. `plaintext` asks for a connection without TLS, which is only accepted on loopback.
    """

    name: Annotated[str, AfterValidator(_known_runner)]
    address: Address | None = None
    certificate_name: str | None = None
    plaintext: bool = False

    @model_validator(mode="after")
    def _about_an_address(self) -> "RunnerEntry":
        if self.address is None and (self.plaintext or self.certificate_name):
            raise ValueError(f"runner '{self.name}' has no address for plaintext or certificate_name to go with")
        return self

    @property
    def kind(self) -> RunnerKind:
        return RUNNERS[self.name]


def _named(value: object) -> object:
    value = name_of_null(value)
    return {"name": value} if isinstance(value, str) else value


def _engine(address: str) -> str:
    try:
        parts = urlsplit(address)
        addresses.host(parts.hostname or "")
        right = parts.scheme in ("ssh", "tcp") and parts.port != 0 and parts.password is None
    except ValueError:  # of the port or the host
        right = False
    if not right:
        raise ValueError(f"'{address}' is no address of a Docker engine; give ssh://USER@HOST or tcp://HOST:PORT")
    return address


class Host(Configuration):
    """A machine that its runners share; two measurements never overlap on it.

    `docker` is the address of its engine, `ssh://USER@HOST` or `tcp://HOST:PORT`, where its runners are started in
    containers; with it, `address` is the machine's name or IP address for all else, when that is another one. Without,
    `address`, `certificate_name` and `plaintext` are those of its only runner. `service` is NAME:PORT of a DNS name
    behind which there are many machines with that only runner, each a host of its own.
    """

    name: Annotated[str, Field(min_length=1)]
    runners: tuple[Annotated[RunnerEntry, BeforeValidator(_named)], ...] = Field(min_length=1)
    address: str | None = None
    certificate_name: str | None = None
    plaintext: bool = False
    docker: Annotated[str, AfterValidator(_engine)] | None = None
    service: Address | None = None

    @model_validator(mode="after")
    def _consistent(self) -> "Host":
        names = [runner.name for runner in self.runners]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice:
            raise ValueError(f"host '{self.name}' names the runner '{twice}' twice; remove one")
        if self.docker:
            self._require_engine_only()
        else:
            self._require_one_address()
        return self

    def _require_engine_only(self) -> None:
        of_an_address = self.service or self.plaintext or self.certificate_name
        if of_an_address or any(runner.address for runner in self.runners):
            raise ValueError(
                f"host '{self.name}' has a Docker engine, which starts its runners: they have no address, service, "
                "certificate name or plain text; name those that are up in a host of their own"
            )
        if self.address:
            try:
                addresses.host(self.address)
            except ValueError as error:
                raise ValueError(f"host '{self.name}': {error}; beside docker it stands without a port") from None

    def _require_one_address(self) -> None:
        where = self.address or self.service
        if where is None:
            if self.plaintext or self.certificate_name:
                raise ValueError(f"host '{self.name}' has no address for plaintext or certificate_name to go with")
            return
        if self.address and self.service:
            raise ValueError(f"host '{self.name}' has an address and a service, which has addresses; remove one")
        _address(where)
        if len(self.runners) > 1 or self.runners[0].address:
            remedy = f"{{name: {self.runners[0].name}, address: {where}}}"
            given = f"give each runner its own: {remedy}" if self.address else "all that is behind it is one runner"
            raise ValueError(f"host '{self.name}' has one address, and more is said of its runners; {given}")

    @property
    def machine(self) -> str:
        """Name or IP address under which the containers of its engine are reached."""
        return self.address or urlsplit(self.docker or "").hostname or "localhost"

    def entries(self) -> tuple[RunnerEntry, ...]:
        """The runners, the host's own address handed down to its only one."""
        where = self.address or self.service
        if where is None or self.docker:
            return self.runners
        given = {"address": _address(where), "plaintext": self.plaintext, "certificate_name": self.certificate_name}
        return (self.runners[0].model_copy(update=given),)


class Inventory(Configuration):
    """The hosts of a campaign."""

    hosts: tuple[Host, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _hosts_differ(self) -> "Inventory":
        names = [host.name for host in self.hosts]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice:
            raise ValueError(f"the host '{twice}' stands twice; merge the two or rename one")
        return self


def load_inventory(path: Path | None, runtimes: tuple[str, ...]) -> Inventory:
    """The inventory in the file `path`, or this machine with every runner of `runtimes` that can live here.

    Raises:
        UsageError: the file cannot be read or has a mistake, or nothing of `runtimes` can live on this machine.
    """
    if path is not None:
        return load(path, Inventory)
    here = [
        RunnerEntry(name=kind.name)
        for kind in RUNNERS.values()
        if kind.runtime in runtimes and kind.system in (None, platform.system()) and kind.devices[0].startswith("cpu")
    ]
    if not here:
        raise UsageError(f"no runner of {', '.join(runtimes)} can live on this machine; name a host with --runners")
    return Inventory(hosts=(Host(name="local", runners=tuple(here)),))
