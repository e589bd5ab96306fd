"""Runners in containers of this machine's engine: without network, reached through a Unix socket."""

import contextlib
import os
import platform
from collections.abc import Iterator
from typing import Any

import docker
from docker.types import Mount

from orchestrator import scratch
from orchestrator.endpoint import Endpoint
from orchestrator.errors import UsageError
from orchestrator.launch import Launched, images, require_system
from orchestrator.launch.container import (
    ENGINE_ERRORS,
    RUNNER_ID,
    START_TIMEOUT_S,
    STORE,
    created,
    digest,
    failure,
    innermost,
    remedy,
    started,
)
from orchestrator.launch.readiness import wait_until_serving
from orchestrator.runtimes import RunnerKind
from runner_api.v1.wire import LOCAL_OWNER

PROBE_TIMEOUT_S = 5
SOCKET_FOLDER = "/run/portbench"


def problem() -> str | None:
    """Why runners cannot live in containers here, None when they can. Answers within seconds."""
    if platform.system() != "Linux":
        return "a container's Unix socket can only be reached on Linux"
    address = images.engine()
    if not address.startswith("unix:"):
        return f"DOCKER_HOST={address} is not a Unix socket of this machine"
    try:
        options = information().get("SecurityOptions") or []
    except ENGINE_ERRORS as error:
        return f"{address}: {innermost(error)}"
    if any("rootless" in option or "userns" in option for option in options):
        return f"{address}: the engine maps user ids, so that a container cannot write into our folders"
    return None


def information() -> dict[str, Any]:
    """What the engine tells of itself, as `docker info`, and its `ApiVersion`.

    Raises:
        DockerException, requests.RequestException: it does not answer.
    """
    with contextlib.closing(docker.from_env(timeout=PROBE_TIMEOUT_S)) as client:
        return {**client.info(), "ApiVersion": client.version()["ApiVersion"]}


def unusable(problem: str) -> UsageError:
    """What to raise where the user asked for containers and there is a problem()."""
    return UsageError(f"no Docker engine can be used ({problem}); start one, or choose '--launcher process'")


class DockerLauncher:
    """Starts each runner in a container of its own image."""

    @contextlib.contextmanager
    def start(self, kind: RunnerKind) -> Iterator[Launched]:
        """See Launcher. Builds the runner's image where the engine does not have it yet."""
        require_system(kind, "Linux", "not in a container")
        reference = images.build(kind.image)
        # A root that is the orchestrator's own is none that a runner needs.
        user, group = os.getuid() or RUNNER_ID, os.getgid() if os.getuid() else RUNNER_ID
        with contextlib.ExitStack() as stack:
            try:
                client = stack.enter_context(contextlib.closing(docker.from_env()))
                folder = stack.enter_context(scratch.folder())
                os.chown(folder, user, group)
                container = stack.enter_context(
                    created(
                        *(client, kind, reference, f"unix:{SOCKET_FOLDER}/runner.sock"),
                        user=f"{user}:{group}",
                        network_mode="none",
                        mounts=[Mount(SOCKET_FOLDER, str(folder), type="bind")],
                    )
                )
                output = stack.enter_context(started(container))
            except ENGINE_ERRORS as error:
                raise failure(kind, f"cannot be started in a container: {innermost(error)}{remedy(kind)}") from None
            endpoint = Endpoint(f"unix:{folder}/runner.sock")
            wait_until_serving(endpoint, START_TIMEOUT_S, lambda: output.last_words(kind))
            python = ("docker", "exec", str(container.id), "python")
            yield Launched(endpoint, "docker", digest(container), python, f"{STORE}/{LOCAL_OWNER}")
