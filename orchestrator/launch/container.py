"""A runner's container: hardened, listened to, and gone when the orchestrator is; on whichever engine."""

import contextlib
import threading
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import docker
import requests
from docker.errors import APIError, DockerException
from docker.models.containers import Container
from docker.types import DeviceRequest, Mount, Ulimit

from orchestrator.errors import CaseFailure, Stage, Symptom
from orchestrator.runtimes import RunnerKind

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10
ABANDONED_S = 600
"""A container that was not started so long after its making lost its orchestrator in between."""
RUNNER_ID = 10001
"""The user of the images."""
LABEL = "portbench.runner"
STORE = "/var/lib/portbench"
MEMORY_SHARE = 0.75
"""Of the machine's memory that a runner may use: what is beyond is refused to it before the machine itself runs dry."""
PIDS_LIMIT = 4096
TEMPORARY_BYTES = 1 << 30
LOG_LINES = 5

ENGINE_ERRORS = (DockerException, requests.RequestException)


@contextlib.contextmanager
def created(
    client: docker.DockerClient, kind: RunnerKind, reference: str, listen: str, **settings: Any
) -> Iterator[Container]:
    """A container of the image `reference` that will run a runner; `start` starts it. Removed in the end.

    Args:
        client: of the engine.
        kind: of the runner.
        reference: of its image.
        listen: where the runner listens inside.
        settings: of the engine, beside or instead of the common ones; `command` and `mounts` are added to those.

    Raises:
        DockerException, requests.RequestException: the engine refuses, or is gone.
    """
    _sweep(client)
    memory_bytes = int(client.info()["MemTotal"] * MEMORY_SHARE)
    common: dict[str, Any] = {
        "labels": {LABEL: kind.name},
        "environment": {"PORTBENCH_RUNTIME": kind.runtime},  # an image may serve two
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "pids_limit": PIDS_LIMIT,
        "mem_limit": memory_bytes,
        "memswap_limit": memory_bytes,  # memory and swap together: no swap, which would show as time
        "ulimits": [Ulimit(name="core", soft=0, hard=0)],
        "tmpfs": {"/tmp": f"size={TEMPORARY_BYTES},mode=1777{',exec' if kind.compiles else ''}"},  # noqa: S108  its own
        "device_requests": [DeviceRequest(count=-1, capabilities=[["gpu"]])] if kind.needs_gpu else None,  # -1: all
        "init": True,
        "healthcheck": {"test": ["NONE"]},  # the image's own would start a process beside the timed one
        "stdin_open": True,
        "auto_remove": True,
    }
    command = ["--listen", listen, "--store", STORE, "--exit-on-stdin-eof", *settings.pop("command", [])]
    # Nameless: the engine keeps it on its disk and removes it with the container, however that ends.
    mounts = [Mount(STORE, None, type="volume"), *settings.pop("mounts", [])]
    container = client.containers.create(reference, command, mounts=mounts, **common | settings)
    try:
        yield container
    finally:
        _end(container)


@contextlib.contextmanager
def started(container: Container) -> Iterator["Output"]:
    """The container running, for as long as this process lives."""
    # Held open, never written to: the engine closes the runner's standard input when this process is gone.
    with contextlib.closing(container.attach_socket(params={"stdin": 1, "stream": 1})):
        output = Output(container)
        container.start()
        yield output


class Output:
    """The last lines that a container wrote, kept here because the engine removes a container as soon as it ends."""

    def __init__(self, container: Container) -> None:
        self._tail = b""
        stream = container.attach(stdout=True, stderr=True, stream=True)
        self._reader = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._reader.start()

    def _read(self, stream: Iterator[bytes]) -> None:
        with contextlib.suppress(*ENGINE_ERRORS, OSError, ValueError):
            for piece in stream:
                self._tail = (self._tail + piece)[-4096:]

    def last_words(self, kind: RunnerKind) -> str | None:
        """Why the container is no more, None while it lives."""
        return None if self._reader.is_alive() else self.words(kind)

    def words(self, kind: RunnerKind) -> str:
        """As `last_words`, of a container that has ended."""
        self._reader.join(STOP_TIMEOUT_S)
        lines = self._tail.decode(errors="replace").split("\n")
        said = (
            " | ".join(deque((line.strip() for line in lines if line.strip()), maxlen=LOG_LINES)) or "it said nothing"
        )
        return f"the container of the runner {kind.name} ended at its start: {said}"


def _sweep(client: docker.DockerClient) -> None:
    """Removes what orchestrators left that were killed between making a container and starting it."""
    for container in client.containers.list(all=True, filters={"label": LABEL, "status": "created"}):
        made_at = datetime.fromisoformat(container.attrs["Created"][:19] + "+00:00")
        if (datetime.now(UTC) - made_at).total_seconds() > ABANDONED_S:
            with contextlib.suppress(*ENGINE_ERRORS):
                container.remove(v=True, force=True)


def _end(container: Container) -> None:
    """Lets the runner drain, then makes sure that its container is removed."""
    with contextlib.suppress(*ENGINE_ERRORS):
        container.reload()
        if container.status != "created":
            container.stop(timeout=STOP_TIMEOUT_S)
            container.wait(condition="removed", timeout=STOP_TIMEOUT_S)
    with contextlib.suppress(*ENGINE_ERRORS):  # most often there is nothing left to remove
        container.remove(v=True, force=True)


def digest(container: Container) -> str | None:
    """Of the registry where the image came from one, else the image's own identifier."""
    image = container.image
    if image is None:
        return None
    pulled = image.attrs.get("RepoDigests") or [image.id]
    return str(pulled[0]).rpartition("@")[2]


def innermost(error: BaseException) -> str:
    """The engine's or the system's own words, without the layers of HTTP around them."""
    if isinstance(error, APIError):
        return str(error.explanation)
    while error.__context__ is not None:
        error = error.__context__
    return str(error)


def remedy(kind: RunnerKind) -> str:
    """What to add where an engine does not start the container."""
    return "; it needs a GPU, NVIDIA's driver and the NVIDIA container toolkit" if kind.needs_gpu else ""


def failure(kind: RunnerKind, message: str) -> CaseFailure:
    return CaseFailure(Stage.SHIP, Symptom.UNAVAILABLE, f"the runner {kind.name} {message}")
