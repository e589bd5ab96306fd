"""Runners in containers of another machine's engine, reached over mutual TLS through a published port."""

import contextlib
import io
import os
import socket
import tarfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import docker
from docker.errors import ImageNotFound, NotFound
from docker.models.containers import Container
from docker.types import Mount

from orchestrator import addresses, certificates
from orchestrator.certificates import Authority, Issued
from orchestrator.endpoint import Endpoint
from orchestrator.errors import CaseFailure, Stage, Symptom, UsageError
from orchestrator.launch import Launched, images, require_system
from orchestrator.launch.container import (
    ENGINE_ERRORS,
    RUNNER_ID,
    START_TIMEOUT_S,
    Output,
    created,
    digest,
    failure,
    innermost,
    remedy,
    started,
)
from orchestrator.launch.engines import EngineError, connected
from orchestrator.launch.handshake import HandshakeError, greet
from orchestrator.launch.readiness import wait_until_serving
from orchestrator.runtimes import RunnerKind

PORT = 50051
CERTS = "/run/portbench/certs"
CERTIFICATE_DAYS = 30
"""A runner's certificate is made for it alone; it must last as long as its campaign."""

_REMEDY = "give the host's 'address', under which its ports are reached"


class RemoteDockerLauncher:
    """Starts each runner in a container of its own image on another machine.

    Args:
        engine: address of the engine, "ssh://USER@HOST" or "tcp://HOST:PORT".
        machine: the name or IP address under which the machine's ports are reached.
    """

    def __init__(self, engine: str, machine: str) -> None:
        self._engine = engine
        self._machine = machine

    @contextlib.contextmanager
    def start(self, kind: RunnerKind) -> Iterator[Launched]:
        """See Launcher. An image that the other engine has not is pulled or sent there."""
        require_system(kind, "Linux", "not in a container")
        name = f"{uuid.uuid4()}.runner"  # not the machine's: who gets hold of the key can pose as this runner only
        issued, certs = self._certificates(kind, name)
        self._require_resolvable(kind)
        reference = images.build(kind.image)
        with contextlib.ExitStack() as stack:
            try:
                client = stack.enter_context(connected(self._engine))
                provide(reference, client)
                container = stack.enter_context(
                    created(
                        *(client, kind, reference, f"0.0.0.0:{PORT}"),
                        command=["--certs", CERTS],
                        ports={f"{PORT}/tcp": None},  # any that is free
                        mounts=[Mount(CERTS, None, type="volume")],
                    )
                )
                container.put_archive(CERTS, _archive(issued))
                output = stack.enter_context(started(container))
                port = _published(container)
            except EngineError as error:
                raise failure(kind, f"cannot be started: {self._engine} {error}") from None
            except ENGINE_ERRORS as error:
                raise failure(kind, f"cannot be started on {self._engine}: {innermost(error)}{remedy(kind)}") from None
            if port is None:
                raise CaseFailure(Stage.SHIP, Symptom.UNAVAILABLE, output.words(kind))
            endpoint = Endpoint(addresses.join(self._machine, port), certs, name)
            self._wait(kind, endpoint, output)
            yield Launched(endpoint, "remote", digest(container), certificate=issued.told)

    def _certificates(self, kind: RunnerKind, name: str) -> tuple[Issued, Path]:
        """The runner's, and the folder of the orchestrator's."""
        folder = certificates.default_folder()
        try:
            return Authority(folder).certify([name], CERTIFICATE_DAYS), certificates.orchestrators(folder)
        except UsageError as error:
            raise failure(kind, f"on {self._engine} needs mutual TLS, and {error}") from None

    def _require_resolvable(self, kind: RunnerKind) -> None:
        """Ssh may know the machine by a name that nobody else knows."""
        try:
            socket.getaddrinfo(self._machine, PORT)
        except OSError as error:
            what = f"on {self._engine} cannot be reached: the name {self._machine} does not resolve ({error.strerror})"
            raise failure(kind, f"{what}; {_REMEDY}") from None

    def _wait(self, kind: RunnerKind, endpoint: Endpoint, output: Output) -> None:
        """Until it serves. If it lives and does not, the reason lies on the way to it."""
        try:
            wait_until_serving(endpoint, START_TIMEOUT_S, lambda: output.last_words(kind))
        except CaseFailure:
            if output.last_words(kind):
                raise
            try:
                greet(endpoint)
            except HandshakeError as error:
                what = f"was started on {self._engine}, but at {endpoint.target} it {error}"
                raise failure(kind, f"{what} Does a firewall stand in between? Else {_REMEDY}") from None
            raise


def provide(reference: str, client: docker.DockerClient) -> None:
    """Sees to it that the engine of `client` has the image that this machine's engine has as `reference`.

    With PORTBENCH_REGISTRY, for example "registry.example:5000/portbench", the engine first pulls
    REGISTRY/RUNTIME:TAG from there; what the registry has not is sent from here. A reference has the hash of what is in
    the image, so there is one image of that name.

    Raises:
        EngineError: the machine's processor is of another kind than the image.
        DockerException, requests.RequestException: an engine or the registry refuses, or is gone.
    """
    if _has(client, reference):
        return
    with contextlib.closing(docker.from_env()) as here:
        image = here.images.get(reference)
        there = client.version()["Arch"]
        if image.attrs["Architecture"] != there:
            raise EngineError(f"has {there} processors, the image {reference} is for {image.attrs['Architecture']}")
        if not _pulled(client, reference):
            client.images.load(cast("Any", image.save(named=True)))  # in pieces, which its annotation does not know


def _has(client: docker.DockerClient, reference: str) -> bool:
    try:
        client.images.get(reference)
    except ImageNotFound:
        return False
    return True


def _pulled(client: docker.DockerClient, reference: str) -> bool:
    registry = os.environ.get("PORTBENCH_REGISTRY")
    if not registry:
        return False
    repository, _, tag = reference.partition(":")
    try:
        client.images.pull(f"{registry}/{repository.rpartition('/')[2]}", tag=tag).tag(repository, tag)
    except NotFound:
        return False
    return True


def _archive(issued: Issued) -> bytes:
    """The certificate's files, for the runner's user only."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in issued.files().items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.uid, entry.gid = len(content), 0o400, RUNNER_ID, RUNNER_ID
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def _published(container: Container) -> int | None:
    """The machine's port that leads to the runner, None when the container has ended already."""
    try:
        container.reload()
    except NotFound:
        return None
    bindings = container.ports.get(f"{PORT}/tcp")
    return int(bindings[0]["HostPort"]) if bindings else None
