"""A real engine and the project's real images, built once."""

import contextlib
import functools
from collections.abc import Callable, Iterator

import docker as docker_package
import pytest
from docker.models.containers import Container

from orchestrator.launch import container as container_module
from orchestrator.launch import docker as launcher_module
from orchestrator.launch import images
from orchestrator.runtimes import RUNNERS, RunnerKind


@pytest.fixture(scope="session")
def engine() -> Iterator[docker_package.DockerClient]:
    """A client of the engine."""
    with contextlib.closing(docker_package.from_env(timeout=300)) as client:
        yield client


def container_at(engine: docker_package.DockerClient, target: str) -> Container:
    """The container whose runner listens at the gRPC `target`, a Unix socket."""
    folder = target.removeprefix("unix:").rpartition("/")[0]
    (found,) = (
        container
        for container in engine.containers.list(filters={"label": container_module.LABEL})
        if folder in (mount.get("Source") for mount in container.attrs["Mounts"])
    )
    return found


@pytest.fixture(scope="session")
def container_of(engine: docker_package.DockerClient) -> Callable[[str], Container]:
    """gRPC target -> the container whose runner listens there."""
    return functools.partial(container_at, engine)


@pytest.fixture(scope="session")
def null_runner(engine: docker_package.DockerClient) -> Iterator[Container]:
    """The container of a null runner, as the launcher starts it."""
    with launcher_module.DockerLauncher().start(RUNNERS["null"]) as launched:
        yield container_at(engine, launched.endpoint.target)


@pytest.fixture(scope="session")
def references(engine: docker_package.DockerClient) -> dict[str, str]:
    """Image -> the reference it has in the engine."""
    return {image: images.build(image) for image in images.common()}


@pytest.fixture(scope="session")
def container_kinds() -> dict[str, RunnerKind]:
    """What people bring up themselves: every runner that lives in a container but the self-test's own."""
    return {name: kind for name, kind in RUNNERS.items() if kind.system in (None, "Linux") and name != "known"}
