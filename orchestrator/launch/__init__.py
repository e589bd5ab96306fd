"""How a runner comes to life: in a container, as a process, or already up at an address."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Literal, Protocol

from orchestrator.inventory import RunnerEntry
from orchestrator.runtimes import RunnerKind

Isolation = Literal["docker", "process", "remote"]


@dataclass(frozen=True)
class Launched:
    """A runner that answers.

    `target` is what a gRPC channel is opened on; `image_digest` is None where no image is involved. Of a runner that
    was started here, `python` is the command that starts Python in a process beside it, in the same container if it
    has one, and `store` is the folder of its artifacts as that process sees it.
    """

    target: str
    isolation: Isolation
    image_digest: str | None = None
    python: tuple[str, ...] = ()
    store: str = ""


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


@contextmanager
def reach(entry: RunnerEntry, launcher: Launcher) -> Iterator[Launched]:
    """The runner of an inventory's entry: started here, or found at its address."""
    from orchestrator.launch import remote

    if entry.address is None:
        with launcher.start(entry.kind) as launched:
            yield launched
    else:
        yield remote.find(entry)
