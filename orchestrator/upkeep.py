"""Keeping a runner up: brought up again when it was lost, later and later, and not for ever."""

import random
import threading
import time
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from orchestrator.errors import CaseFailure, Stage, Symptom
from orchestrator.inventory import Host, RunnerEntry
from orchestrator.launch import Launcher
from orchestrator.live import LiveRunner, bring_up

LOSSES = 10
"""In a row, without any work done in between, after which a runner is given up."""
RETURN_TIMEOUT_S = 300.0
"""For which a lost runner is waited for: an engine or a machine may be starting anew."""
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0


class Upkeep:
    """One runner of a host, from its first start to its end.

    Args:
        host: on which it lives.
        entry: of `host.entries()`.
        launcher: of this machine.
        stopped: set when nothing shall be brought up any more.
    """

    def __init__(self, host: Host, entry: RunnerEntry, launcher: Launcher, stopped: threading.Event) -> None:
        self._host = host
        self._entry = entry
        self._launcher = launcher
        self._stopped = stopped
        self._stack = ExitStack()
        self._losses = 0
        self.runner: LiveRunner | CaseFailure = _failure(entry.name, "was not started")
        """As it was last seen, or why it cannot be had."""

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.runner = bring_up(self._host, self._entry, self._launcher, stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def stop(self) -> None:
        """Cancels, from another thread, what the runner is asked."""
        if isinstance(self.runner, LiveRunner):
            self.runner.client.close()

    def worked(self) -> None:
        """It did what it was asked for."""
        self._losses = 0

    def asked_again(self) -> LiveRunner | CaseFailure:
        """The runner as it is now, brought up again if it was lost in between."""
        if isinstance(self.runner, LiveRunner):
            try:
                self.runner = self.runner.asked_again()
            except CaseFailure as failure:
                self.revive(failure)
        return self.runner

    def revive(self, failure: CaseFailure) -> None:
        """Brings the runner, which was lost with `failure`, up again, or gives it up."""
        self._losses += 1
        if self._losses > LOSSES:
            self._let_go()
            self.runner = _failure(self._entry.name, f"was lost {self._losses} times in a row: {failure.message}")
            return
        deadline, pause_s = time.monotonic() + RETURN_TIMEOUT_S, FIRST_PAUSE_S
        while True:
            self._let_go()
            if self._stopped.wait(pause_s * random.uniform(0.5, 1.5)):  # noqa: S311 - no secret
                return
            self.runner = bring_up(self._host, self._entry, self._launcher, self._stack)
            if isinstance(self.runner, LiveRunner):
                return
            if self.runner.symptom is Symptom.REFUSED or time.monotonic() > deadline:
                self._let_go()
                why = f"was lost and does not come back: {self.runner.message}"
                self.runner = _failure(self._entry.name, why)
                return
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _let_go(self) -> None:
        """Of whatever is left of it."""
        self._stack.close()
        self._stack = ExitStack()


def _failure(name: str, why: str) -> CaseFailure:
    return CaseFailure(Stage.SHIP, Symptom.UNAVAILABLE, f"the runner {name} {why}")
