"""What is recorded of a trial's phases: their time, or their memory. One of the two, never both."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from time import perf_counter_ns
from typing import Any, Protocol

from runners.jobs import StopRule
from runners.measure import timing


class Recorder(Protocol):
    """Goes through the phases of a trial with it."""

    def phase(self, name: str) -> AbstractContextManager[None]:
        """Around each phase."""

    def steady(self, call: timing.Call, rule: StopRule, warmup: timing.Warmup) -> None:
        """Calls until there is enough; inside the phase of that name."""

    def result(self) -> dict[str, Any]:
        """Fields of the contract's TrialResult, after the last phase."""


class TimeRecorder:
    """Durations of the phases, and the samples of the last one.

    Args:
        reference_best_ns: the host's best reference so far, 0 when unknown.
        threads: how many the runtime uses.
    """

    def __init__(self, reference_best_ns: float, threads: int) -> None:
        self._reference_best_ns = reference_best_ns
        self._threads = threads
        self._durations_ns: dict[str, int] = {}
        self._warmup_samples = 0
        self._timing: dict[str, Any] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Reads the clock around it."""
        begun = perf_counter_ns()
        yield
        self._durations_ns[name] = perf_counter_ns() - begun

    def steady(self, call: timing.Call, rule: StopRule, warmup: timing.Warmup) -> None:
        """Blocks of samples between reference computations."""
        self._warmup_samples = warmup.samples
        self._timing = timing.measure(call, rule, warmup, self._reference_best_ns, self._threads)

    def result(self) -> dict[str, Any]:
        """Phases and Timing."""
        names = ("import", "load", "first", "warmup", "cached_load")
        phases = {f"{name}_ns": self._durations_ns.get(name, 0) for name in names}
        return {"phases": {**phases, "warmup_samples": self._warmup_samples}, "timing": self._timing}
