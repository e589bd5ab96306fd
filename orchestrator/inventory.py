"""The inventory: which runners there are and on which host each lives."""

import platform
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


class RunnerEntry(Configuration):
    """A runner of a host: started by the campaign or, with an address, already up.

    `address` is a gRPC target: `unix:PATH` or `HOST:PORT`. `plaintext` asks for a connection without TLS, which is only
    accepted on loopback.
    """

    name: Annotated[str, AfterValidator(_known_runner)]
    address: str | None = None
    plaintext: bool = False

    @property
    def kind(self) -> RunnerKind:
        return RUNNERS[self.name]


def _named(value: object) -> object:
    value = name_of_null(value)
    return {"name": value} if isinstance(value, str) else value


class Host(Configuration):
    """A machine that its runners share; two measurements never overlap on it.

    `address` and `plaintext` of the host are those of its only runner.
    """

    name: Annotated[str, Field(min_length=1)]
    runners: tuple[Annotated[RunnerEntry, BeforeValidator(_named)], ...] = Field(min_length=1)
    address: str | None = None
    plaintext: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> "Host":
        names = [runner.name for runner in self.runners]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice:
            raise ValueError(f"host '{self.name}' names the runner '{twice}' twice; remove one")
        if self.address and (len(self.runners) > 1 or self.runners[0].address):
            raise ValueError(
                f"host '{self.name}' has an address and several runners; give each runner its own: "
                f"{{name: {names[0]}, address: {self.address}}}"
            )
        return self

    def entries(self) -> tuple[RunnerEntry, ...]:
        """The runners, the host's own address handed down to its only one."""
        if self.address is None:
            return self.runners
        return (self.runners[0].model_copy(update={"address": self.address, "plaintext": self.plaintext}),)


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
