"""Calls that take too long are cancelled, whatever their handlers are waiting for."""

import math
import threading
import time

import grpc


class Patience:
    """When each call ends at the latest, by `time.monotonic`; one thread sleeps until the first of these times."""

    def __init__(self) -> None:
        self._ends_s: dict[grpc.ServicerContext, float] = {}
        self._wakes_s = math.inf
        self._changed = threading.Condition()
        threading.Thread(target=self._watch, daemon=True).start()

    def allow(self, context: grpc.ServicerContext, end_s: float) -> None:
        """The call is cancelled at that time unless it is allowed more, or forgotten, before."""
        with self._changed:
            self._ends_s[context] = end_s
            if end_s < self._wakes_s:
                self._wakes_s = end_s
                self._changed.notify()

    def forget(self, context: grpc.ServicerContext) -> None:
        """The call has ended."""
        with self._changed:
            self._ends_s.pop(context, None)

    def _watch(self) -> None:
        """Times that were put off are not told to this thread: it finds out when it wakes, and sleeps on."""
        while True:
            for context in self._due():
                context.cancel()

    def _due(self) -> list[grpc.ServicerContext]:
        with self._changed:
            self._wakes_s = min(self._ends_s.values(), default=math.inf)
            self._changed.wait(min(max(0.0, self._wakes_s - time.monotonic()), threading.TIMEOUT_MAX))
            now_s = time.monotonic()
            due = [context for context, end_s in self._ends_s.items() if end_s <= now_s]
            for context in due:
                del self._ends_s[context]
            return due
