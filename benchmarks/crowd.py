"""A thousand connections to a runner while it times a case, beside the same case without them."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.sides import in_turn, shift
from orchestrator.artifacts import Cache
from orchestrator.certificates import ORCHESTRATOR, Authority, orchestrators
from orchestrator.client import RunnerClient
from orchestrator.endpoint import Endpoint
from orchestrator.errors import CaseFailure
from orchestrator.launch import Launched
from orchestrator.selftest.place import Place
from orchestrator.selftest.processes import Process
from orchestrator.selftest.subjects import quick_model
from orchestrator.suite import StopRule

CONNECTIONS = int(os.environ.get("BENCHMARK_CROWD_CONNECTIONS", "1000"))
PAIRS = int(os.environ.get("BENCHMARK_CROWD_PAIRS", "15"))
HIGHEST_SHIFT = 0.03
_BATCH_SIZE = 32
_ASKED_EVERY_S = 0.25


def run() -> dict[str, Any]:
    """In turn without and with the crowd, one half of which calls; see callers.py."""
    subject, rule = quick_model(Cache()), StopRule(max_time_s=2)
    honest, crowds = _Honest(), Counter[str]()
    with (
        tempfile.TemporaryDirectory(prefix="pb-") as folder,
        _serving(Path(folder)) as endpoint,
        RunnerClient("onnxruntime-cpu", endpoint) as client,
    ):
        place = Place(client, Launched(endpoint, "remote"))

        def measure(crowded: bool) -> Process:
            with contextlib.ExitStack() as stack:
                if crowded:
                    stack.enter_context(_crowd(endpoint, crowds))
                    stack.enter_context(honest.asking(endpoint))
                return place.time(subject, rule, batch_size=_BATCH_SIZE)

        client.describe()  # as every campaign begins; a runner asks its framework once
        measure(crowded=False)
        alone, crowded = in_turn(PAIRS, measure)
    return {
        "connections": CONNECTIONS,
        "connections_held": crowds.pop("connections") / PAIRS,
        "calls": dict(crowds),
        **shift(alone, crowded, HIGHEST_SHIFT),
        **honest.told(),
    }


class _Honest:
    """Another caller, who asks for the runner's health all the while."""

    def __init__(self) -> None:
        self._asked = 0
        self._answered_s: list[float] = []

    def told(self) -> dict[str, Any]:
        return {
            "honest_calls": self._asked,
            "honest_answered": len(self._answered_s),
            "honest_slowest_s": max(self._answered_s, default=None),
            "honest_ok": len(self._answered_s) == self._asked,
        }

    @contextlib.contextmanager
    def asking(self, endpoint: Endpoint) -> Iterator[None]:
        """For the time of the context, over a connection of its own."""
        end = threading.Event()
        thread = threading.Thread(target=self._ask, args=(endpoint, end))
        thread.start()
        try:
            yield
        finally:
            end.set()
            thread.join()

    def _ask(self, endpoint: Endpoint, end: threading.Event) -> None:
        while not end.wait(_ASKED_EVERY_S):
            self._asked += 1
            begun_s = time.monotonic()
            with contextlib.suppress(CaseFailure), RunnerClient("honest", endpoint) as client:
                client.health()
                self._answered_s.append(time.monotonic() - begun_s)


@contextlib.contextmanager
def _serving(folder: Path) -> Iterator[Endpoint]:
    """A runner of ONNX Runtime on loopback over mutual TLS."""
    authority = Authority.create(folder)
    authority.issue([ORCHESTRATOR])
    certs, _ = authority.issue(["127.0.0.1"])
    command = [sys.executable, "-P", "-m", "runners", "onnxruntime", "--listen", "127.0.0.1:0", "--certs", str(certs)]
    with _process(*command, "--store", str(folder / "store"), "--exit-on-stdin-eof") as process:
        address = _line(process).partition(" listens on ")[2].partition(",")[0]
        yield Endpoint(address, orchestrators(folder))


@contextlib.contextmanager
def _crowd(endpoint: Endpoint, told: "Counter[str]") -> Iterator[None]:
    """There for the time of the context; adds to `told` what became of it."""
    silent = CONNECTIONS // 2
    numbers = (str(silent), str(CONNECTIONS - silent))
    with _process(
        sys.executable, "-m", "benchmarks.callers", endpoint.target, str(endpoint.certs), *numbers
    ) as process:
        _line(process)
        yield
        told.update(json.loads(process.communicate(timeout=60)[0]))


@contextlib.contextmanager
def _process(*command: str) -> Iterator["subprocess.Popen[str]"]:
    """One that ends with its standard input."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.communicate(timeout=60)


def _line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout  # noqa: S101  asked for
    return process.stdout.readline()
