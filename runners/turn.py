"""One caller after the other."""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from runners.failure import Failure


class Turn:
    """Callers have it one at a time, in the order in which they came.

    Args:
        most_waiting: callers beside the one that has it; more are refused at once.
    """

    def __init__(self, most_waiting: int) -> None:
        self._most_waiting = most_waiting
        self._changed = threading.Condition()
        self._callers: deque[grpc.ServicerContext] = deque()
        """The first has the turn."""

    @contextmanager
    def of(self, context: grpc.ServicerContext) -> Iterator[None]:
        """Waits for the caller's turn, which ends with the context.

        Raises:
            Failure: measure, unavailable: too many wait already, or the caller went away. Measure, timeout: the call's
                time was over first.
        """
        self._queue(context)
        try:
            self._wait(context)
            yield
        finally:
            with self._changed:
                self._callers.remove(context)
                self._changed.notify_all()

    def _queue(self, context: grpc.ServicerContext) -> None:
        with self._changed:
            if len(self._callers) > self._most_waiting:
                raise Failure(
                    "measure",
                    "unavailable",
                    f"{self._most_waiting} callers wait for this runner already; try again later, or start another one",
                )
            self._callers.append(context)

    def _wait(self, context: grpc.ServicerContext) -> None:
        gone = not context.add_callback(self._look)
        with self._changed:
            came = not gone and self._changed.wait_for(
                lambda: self._callers[0] is context or not context.is_active(),
                min(context.time_remaining(), threading.TIMEOUT_MAX),
            )
        if not came:
            raise Failure("measure", "timeout", "the runner was busy for another caller; allow more time")
        if not context.is_active():
            raise Failure("measure", "unavailable", "the caller went away")

    def _look(self) -> None:
        with self._changed:
            self._changed.notify_all()
