"""The inventory: which runners there are and on which host each lives."""

import platform
import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

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
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise ValueError(f"'{address}' is no address of a runner; give unix:PATH or HOST:PORT")
    return address


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

    @property
    def kind(self) -> RunnerKind:
        return RUNNERS[self.name]


def _named(value: object) -> object:
    value = name_of_null(value)
    return {"name": value} if isinstance(value, str) else value


_ENGINE = re.compile(r"(ssh|tcp)://([^/@:]+@)?(?P<machine>\[[^]]+\]|[^/@:]+)(:\d+)?(/.*)?")


def _engine(address: str) -> str:
    if not _ENGINE.fullmatch(address):
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
            return self
        if self.address and self.service:
            raise ValueError(
                f"host '{self.name}' has an address and a service; a service has the addresses: remove one"
            )
        if where := self.address or self.service:
            _address(where)
            if len(self.runners) > 1 or self.runners[0].address:
                raise ValueError(
                    f"host '{self.name}' has an address and several runners; give each runner its own: "
                    f"{{name: {names[0]}, address: {where}}}"
                )
        return self

    def _require_engine_only(self) -> None:
        if self.service or self.plaintext or any(runner.address for runner in self.runners):
            raise ValueError(
                f"host '{self.name}' has a Docker engine, which starts its runners: they have no address, service or "
                "plain text; name those that are up in a host of their own"
            )
        if self.address and self.address.count(":") == 1:
            raise ValueError(f"host '{self.name}': beside docker, address is a name or an IP address without a port")

    @property
    def machine(self) -> str:
        """Name or IP address under which the containers of its engine are reached."""
        found = _ENGINE.fullmatch(self.docker or "")
        return self.address or (found["machine"].strip("[]") if found else "localhost")

    def entries(self) -> tuple[RunnerEntry, ...]:
        """The runners, the host's own address handed down to its only one."""
        where = self.address or self.service
        if where is None or self.docker:
            return self.runners
        given = {"address": where, "plaintext": self.plaintext, "certificate_name": self.certificate_name}
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
