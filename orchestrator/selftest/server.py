"""What the server does while its worker is timed: it shall sleep."""

import socket
import struct
import sys
import time

import psutil

from orchestrator.errors import CaseFailure, Stage, Symptom
from orchestrator.selftest.check import Check, judge
from orchestrator.selftest.place import Place, Subject
from orchestrator.suite import StopRule

HIGHEST_SHARE = 0.01

_SETTLING_S = 0.2
"""After the phase was announced; what the server did to announce it is over by then."""


def check(place: Place, subject: Subject, window_s: float) -> list[Check]:
    """Watches the server from outside for `window_s` inside of the steady phase.

    Raises:
        CaseFailure: measure, unavailable: the server's process cannot be seen from here.
    """
    server = psutil.Process(listener(place.launched.endpoint.target))
    shares: list[float] = []

    def watch(phase: str) -> None:
        if phase == "steady":
            time.sleep(_SETTLING_S)
            shares.append(_share(server, window_s))

    steady_s = window_s + 3 * _SETTLING_S
    rule = StopRule(min_time_s=steady_s, max_time_s=steady_s, min_undisturbed_samples=0, max_warmup_s=0.1)
    place.time(subject, rule, on_phase=watch)
    return [judge("server_cpu_share", shares[0], HIGHEST_SHARE, window_s=window_s)]


def _share(server: psutil.Process, window_s: float) -> float:
    before, begun = server.cpu_times(), time.monotonic()
    time.sleep(window_s)
    after, ended = server.cpu_times(), time.monotonic()
    return ((after.user - before.user) + (after.system - before.system)) / (ended - begun)


def listener(target: str) -> int:
    """Number of the process that listens at the gRPC `target`, a Unix socket.

    Raises:
        CaseFailure: measure, unavailable: it belongs to another namespace of processes.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(target.removeprefix("unix:"))
        if sys.platform == "darwin":
            sol_local, local_peerpid = 0, 2  # <sys/un.h>
            (number,) = struct.unpack("i", connection.getsockopt(sol_local, local_peerpid, 4))
        else:
            number, _, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    if number == 0:
        message = "the server's process cannot be seen from here; run the self-test on the machine of the Docker engine"
        raise CaseFailure(Stage.MEASURE, Symptom.UNAVAILABLE, message)
    return int(number)
