"""Runners in containers: an image for each runtime, hardened, and gone when the orchestrator is."""

import contextlib
import os
import platform
import tempfile
import threading
from collections import deque
from collections.abc import Iterator

import docker
import requests
from docker.errors import APIError, DockerException
from docker.models.containers import Container
from docker.types import DeviceRequest, Mount, Ulimit

from orchestrator.errors import CaseFailure, Stage, Symptom, UsageError
from orchestrator.launch import Launched, images
from orchestrator.launch.readiness import wait_until_serving
from orchestrator.runtimes import RunnerKind

PROBE_TIMEOUT_S = 5
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10
LABEL = "portbench.runner"
# The user of the images, for an orchestrator that is root itself.
RUNNER_ID = 10001
SOCKET_FOLDER = "/run/portbench"
STORE = "/var/lib/portbench"
MEMORY_SHARE = 0.75
"""Of the machine's memory that a runner may use: what is beyond is refused to it before the machine itself runs dry."""
PIDS_LIMIT = 4096
TEMPORARY_BYTES = 1 << 30
LOG_LINES = 5

ENGINE_ERRORS = (DockerException, requests.RequestException)


def problem() -> str | None:
    """Why runners cannot live in containers here, None when they can. Answers within seconds."""
    if platform.system() != "Linux":
        return "a container's Unix socket can only be reached on Linux"
    address = images.engine()
    if not address.startswith("unix:"):
        return f"DOCKER_HOST={address} is not a Unix socket of this machine"
    try:
        with contextlib.closing(docker.from_env(timeout=PROBE_TIMEOUT_S)) as client:
            options = client.info().get("SecurityOptions") or []
    except ENGINE_ERRORS as error:
        return f"{address}: {_innermost(error)}"
    if any("rootless" in option or "userns" in option for option in options):
        return f"{address}: the engine maps user ids, so that a container cannot write into our folders"
    return None


def unusable(problem: str) -> UsageError:
    """What to raise where the user asked for containers and there is a problem()."""
    return UsageError(f"no Docker engine can be used ({problem}); start one, or choose '--launcher process'")


class DockerLauncher:
    """Starts each runner in a container of its own image, without network, reached through a Unix socket."""

    @contextlib.contextmanager
    def start(self, kind: RunnerKind) -> Iterator[Launched]:
        """See Launcher. Builds the runner's image where the engine does not have it yet."""
        if kind.system not in (None, "Linux"):
            system = "macOS" if kind.system == "Darwin" else kind.system
            raise _failure(kind, f"runs on {system} only, not in a container")
        reference = images.build(kind.image)
        with contextlib.ExitStack() as stack:
            try:
                client = stack.enter_context(contextlib.closing(docker.from_env()))
                # The path of a Unix socket is limited to about 100 characters, hence the short prefix.
                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="pb-", ignore_cleanup_errors=True))
                container = _create(client, kind, reference, folder)
                stack.callback(_end, container)
                # Held open, never written to: the engine closes the runner's standard input when this process is gone.
                stack.callback(container.attach_socket(params={"stdin": 1, "stream": 1}).close)
                output = _Output(container)
                container.start()
            except ENGINE_ERRORS as error:
                remedy = "; it needs a GPU, NVIDIA's driver and the NVIDIA container toolkit" if kind.needs_gpu else ""
                raise _failure(kind, f"cannot be started in a container: {_innermost(error)}{remedy}") from None
            target = f"unix:{folder}/runner.sock"
            wait_until_serving(target, START_TIMEOUT_S, lambda: output.last_words(kind))
            python = ("docker", "exec", str(container.id), "python")
            yield Launched(target, "docker", _digest(container), python, STORE)


def _create(client: docker.DockerClient, kind: RunnerKind, reference: str, socket_folder: str) -> Container:
    user, group = os.getuid() or RUNNER_ID, os.getgid() if os.getuid() else RUNNER_ID
    os.chown(socket_folder, user, group)
    memory_bytes = int(client.info()["MemTotal"] * MEMORY_SHARE)
    return client.containers.create(
        reference,
        ["--listen", f"unix:{SOCKET_FOLDER}/runner.sock", "--store", STORE, "--exit-on-stdin-eof"],
        labels={LABEL: kind.name},
        environment={"PORTBENCH_RUNTIME": kind.runtime},  # an image may serve two
        user=f"{user}:{group}",
        network_mode="none",
        read_only=True,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        pids_limit=PIDS_LIMIT,
        mem_limit=memory_bytes,
        memswap_limit=memory_bytes,  # memory and swap together: no swap, which would show as time
        ulimits=[Ulimit(name="core", soft=0, hard=0)],
        tmpfs={"/tmp": f"size={TEMPORARY_BYTES},mode=1777{',exec' if kind.compiles else ''}"},  # noqa: S108  its own
        device_requests=[DeviceRequest(count=-1, capabilities=[["gpu"]])] if kind.needs_gpu else None,  # -1: all
        mounts=[
            Mount(SOCKET_FOLDER, socket_folder, type="bind"),
            # Nameless: the engine keeps it on its disk and removes it with the container, however that ends.
            Mount(STORE, None, type="volume"),
        ],
        init=True,
        healthcheck={"test": ["NONE"]},  # the image's own would start a process beside the timed one
        stdin_open=True,
        auto_remove=True,
    )


class _Output:
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
        if self._reader.is_alive():
            return None
        lines = self._tail.decode(errors="replace").split("\n")
        said = (
            " | ".join(deque((line.strip() for line in lines if line.strip()), maxlen=LOG_LINES)) or "it said nothing"
        )
        return f"the container of the runner {kind.name} ended at its start: {said}"


def _end(container: Container) -> None:
    """Lets the runner drain, then makes sure that its container is removed."""
    with contextlib.suppress(*ENGINE_ERRORS):
        container.stop(timeout=STOP_TIMEOUT_S)
        container.wait(condition="removed", timeout=STOP_TIMEOUT_S)
    with contextlib.suppress(*ENGINE_ERRORS):  # most often there is nothing left to remove
        container.remove(v=True, force=True)


def _digest(container: Container) -> str | None:
    """Of the registry where the image came from one, else the image's own identifier."""
    image = container.image
    if image is None:
        return None
    pulled = image.attrs.get("RepoDigests") or [image.id]
    return str(pulled[0]).rpartition("@")[2]


def _innermost(error: BaseException) -> str:
    """The engine's or the system's own words, without the layers of HTTP around them."""
    if isinstance(error, APIError):
        return str(error.explanation)
    while error.__context__ is not None:
        error = error.__context__
    return str(error)


def _failure(kind: RunnerKind, message: str) -> CaseFailure:
    return CaseFailure(Stage.SHIP, Symptom.UNAVAILABLE, f"the runner {kind.name} {message}")
