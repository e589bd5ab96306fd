"""The machine as its own parts tell it: a runner its hardware and its system, the engine itself. Each is asked once."""

from contextlib import ExitStack
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from orchestrator.doctor.finding import LackingError

if TYPE_CHECKING:
    from orchestrator.selftest.place import Place


class Machine:
    """A context: what was started for the checks ends with it."""

    def __init__(self) -> None:
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def place(self) -> "Place":
        """A runner of the self-test's known behaviours, as a plain process.

        Raises:
            LackingError: it does not come up.
        """
        if isinstance(self._started, str):
            raise LackingError(f"no runner started here to tell ({self._started})")
        return self._started

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What a runner tells of hardware and system; see runners/measure/environment.py.

        Raises:
            LackingError: no runner comes up.
        """
        from google.protobuf.json_format import MessageToDict

        told: dict[str, Any] = MessageToDict(self.place.client.describe().environment)
        return told

    @property
    def engine(self) -> dict[str, Any]:
        """What the Docker engine tells of itself, as `docker info`.

        Raises:
            LackingError: there is none that can be used.
        """
        if isinstance(self._engine, str):
            raise LackingError(f"no Docker engine can be used ({self._engine})")
        return self._engine

    @cached_property
    def _started(self) -> "Place | str":
        """The runner, or why there is none."""
        from orchestrator.errors import CaseFailure
        from orchestrator.launch.process import ProcessLauncher
        from orchestrator.selftest.place import place

        try:
            return self._stack.enter_context(place(ProcessLauncher(), "known"))
        except CaseFailure as failure:
            return failure.message

    @cached_property
    def _engine(self) -> dict[str, Any] | str:
        """What it tells, or why it cannot be used."""
        import orchestrator.launch.docker as docker

        return docker.problem() or docker.information()
