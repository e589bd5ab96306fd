"""How a runner comes to life: in a container, here or elsewhere, as a process, or already up at an address."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from orchestrator.endpoint import Endpoint
from orchestrator.errors import CaseFailure, Stage, Symptom
from orchestrator.inventory import Host, RunnerEntry
from orchestrator.runtimes import RunnerKind

Isolation = Literal["docker", "process", "remote"]


@dataclass(frozen=True)
class Launched:
    """A runner that answers.

    `image_digest` is None where no image is involved or known; `certificate_ends` is until when the runner's
    certificate is valid, None where it has none. Of a runner that was started here, `python` is the command that starts
    Python in a process beside it, in the same container if it has one, and `store` is the folder of its artifacts as
    that process sees it.
    """

    endpoint: Endpoint
    isolation: Isolation
    image_digest: str | None = None
    python: tuple[str, ...] = ()
    store: str = ""
    certificate_ends: datetime | None = None


class Launcher(Protocol):
    """Starts runners and ends what it started, whatever happens to the one who asked."""

    def start(self, kind: RunnerKind) -> AbstractContextManager[Launched]:
        """A running runner for the time of the context.

        Raises:
            CaseFailure: it does not come up; the message says why and what to do.
        """
        ...


def choose_launcher(name: Literal["auto", "docker", "process"]) -> tuple[Launcher, str | None]:
    """The launcher of that name, with a remark for the user where the choice needs one.

    Raises:
        UsageError: docker was asked for and no engine answers.
    """
    import orchestrator.launch.docker as docker  # the shorter form makes mypy think of the package docker
    from orchestrator.launch.process import ProcessLauncher

    if name == "process":
        return ProcessLauncher(), None
    problem = docker.problem()
    if problem is None:
        return docker.DockerLauncher(), None
    if name == "docker":
        raise docker.unusable(problem)
    return (
        ProcessLauncher(),
        f"No Docker engine answers ({problem}); runners are plain processes without its isolation.",
    )


def require_system(kind: RunnerKind, system: str, otherwise: str = "") -> None:
    """Asks that runners of this kind can live on `system`, a `platform.system()`; `otherwise` ends the message.

    Raises:
        CaseFailure: they cannot.
    """
    if kind.system not in (None, system):
        only = "macOS" if kind.system == "Darwin" else kind.system
        message = f"the runner {kind.name} runs on {only} only{otherwise and ', '}{otherwise}"
        raise CaseFailure(Stage.SHIP, Symptom.UNAVAILABLE, message)


@contextmanager
def reach(host: Host, entry: RunnerEntry, launcher: Launcher) -> Iterator[Launched]:
    """The runner of an inventory's entry: found at its address, else started, on the host's own engine if it has one.

    Args:
        host: on which it lives.
        entry: of `host.entries()`.
        launcher: of this machine.

    Raises:
        CaseFailure: it does not come up, or cannot be reached; the message says why and what to do.
    """
    if entry.address is not None:
        from orchestrator.launch import remote

        yield remote.find(entry)
        return
    if host.docker is not None:
        from orchestrator.launch.remote_docker import RemoteDockerLauncher

        launcher = RemoteDockerLauncher(host.docker, host.machine)
    with launcher.start(entry.kind) as launched:
        yield launched
