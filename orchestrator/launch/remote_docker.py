"""Runners in containers of another machine's engine, reached over mutual TLS through a published port."""

import contextlib
import io
import os
import tarfile
from collections.abc import Iterator
from typing import Any, cast

import docker
from docker.errors import ImageNotFound
from docker.models.containers import Container
from docker.types import Mount

from orchestrator import certificates
from orchestrator.certificates import Authority, Issued
from orchestrator.endpoint import Endpoint
from orchestrator.errors import UsageError
from orchestrator.launch import Launched, images, require_system
from orchestrator.launch.container import ENGINE_ERRORS, created, digest, failure, innermost, remedy, started
from orchestrator.launch.engines import EngineError, connected
from orchestrator.launch.readiness import wait_until_serving
from orchestrator.runtimes import RunnerKind

START_TIMEOUT_S = 60.0
RUNNER_ID = 10001
PORT = 50051
CERTS = "/run/portbench/certs"
CERTIFICATE_DAYS = 7
"""A runner's certificate is made for it alone; it must last as long as its campaign."""


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
        folder = certificates.default_folder()
        try:
            issued = Authority(folder).certify([self._machine], CERTIFICATE_DAYS)
            certs = certificates.orchestrators(folder)
        except UsageError as error:
            raise failure(kind, f"on {self._engine} needs mutual TLS, and {error}") from None
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
                container.reload()
            except EngineError as error:
                raise failure(kind, f"cannot be started: {self._engine} {error}") from None
            except ENGINE_ERRORS as error:
                raise failure(kind, f"cannot be started on {self._engine}: {innermost(error)}{remedy(kind)}") from None
            endpoint = Endpoint(f"{self._machine}:{_published(container)}", certs)
            wait_until_serving(endpoint, START_TIMEOUT_S, lambda: output.last_words(kind))
            yield Launched(endpoint, "remote", digest(container), certificate_ends=issued.expires_at)


def provide(reference: str, client: docker.DockerClient) -> None:
    """Sees to it that the engine of `client` has the image that this machine's engine has as `reference`.

    With PORTBENCH_REGISTRY, for example "registry.example:5000/portbench", the engine first pulls
    REGISTRY/RUNTIME:TAG from there; an image that it cannot pull is sent to it from here.

    Raises:
        EngineError: the machine's processor is of another kind than the image.
        DockerException, requests.RequestException: an engine refuses, or is gone.
    """
    with contextlib.closing(docker.from_env()) as here:
        image = here.images.get(reference)
        if _has(client, reference, str(image.id)):
            return
        there = client.version()["Arch"]
        if image.attrs["Architecture"] != there:
            raise EngineError(f"has {there} processors, the image {reference} is for {image.attrs['Architecture']}")
        if not _pulled(reference, client, str(image.id)):
            client.images.load(cast("Any", image.save(named=True)))  # in pieces, which its annotation does not know


def _has(client: docker.DockerClient, reference: str, image_id: str) -> bool:
    try:
        return str(client.images.get(reference).id) == image_id
    except ImageNotFound:
        return False


def _pulled(reference: str, client: docker.DockerClient, image_id: str) -> bool:
    registry = os.environ.get("PORTBENCH_REGISTRY")
    if not registry:
        return False
    name, _, tag = reference.rpartition("/")[2].partition(":")
    try:
        pulled = client.images.pull(f"{registry}/{name}", tag=tag)
    except ENGINE_ERRORS:
        return False
    pulled.tag(reference.partition(":")[0], tag)
    return str(pulled.id) == image_id


def _archive(issued: Issued) -> bytes:
    """The certificate's files, for the runner's user only."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in issued.files().items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.uid, entry.gid = len(content), 0o400, RUNNER_ID, RUNNER_ID
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def _published(container: Container) -> int:
    return int((container.ports[f"{PORT}/tcp"] or [])[0]["HostPort"])
