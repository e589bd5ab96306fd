"""The runner's gRPC server: it listens, says that it is healthy, and stops when told to or no longer needed."""

import ipaddress
import os
import signal
import threading
from concurrent import futures
from pathlib import Path

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from runner_api.v1 import runner_pb2, runner_pb2_grpc
from runners.allocator import keep_freed_memory
from runners.service import RunnerService
from runners.store import Store
from runners.supervisor import adopt_orphans

_RUNNER = runner_pb2.DESCRIPTOR.services_by_name["Runner"].full_name
_THREADS = 16  # callers who wait for their turn hold one each; health must still be answered
_DRAIN_S = 5.0
_OPTIONS = [
    ("grpc.so_reuseport", 0),
    # What a caller may send ahead is fixed: the window that gRPC would choose grows to 100 MiB while the disk is slow.
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", 4 << 20),
]


class ListenError(Exception):
    """The server cannot listen there; the message is one line."""


def serve(runtime: str, listen: str, store: Path, exit_on_stdin_eof: bool) -> None:
    """Serves until SIGTERM or SIGINT, then grants running calls a few seconds; none at the end of standard input.

    Args:
        runtime: name of an adapter.
        listen: "unix:PATH", or "HOST:PORT" with a loopback address.
        store: folder of the artifacts.
        exit_on_stdin_eof: standard input is the lifeline of whoever started this server.

    Raises:
        ListenError: another address, or one that is taken.
    """
    require_private(listen)
    keep_freed_memory()
    adopt_orphans()
    server = grpc.server(futures.ThreadPoolExecutor(_THREADS), options=_OPTIONS)
    runner_pb2_grpc.add_RunnerServicer_to_server(RunnerService(runtime, Store(store)), server)
    healthy = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    reflection.enable_server_reflection((_RUNNER, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
    try:
        server.add_insecure_port(listen)
    except RuntimeError as error:
        raise ListenError(
            f"cannot listen on {listen}: is the address taken, or its folder missing? ({error})"
        ) from error
    server.start()
    for service in ("", _RUNNER):
        healthy.set(service, health_pb2.HealthCheckResponse.SERVING)
    drain_s = _wait_for_the_end(exit_on_stdin_eof)
    healthy.enter_graceful_shutdown()
    server.stop(drain_s).wait()


def require_private(listen: str) -> None:
    """There is no encryption yet: only a Unix socket or a loopback address will do.

    Raises:
        ListenError: anything else.
    """
    if listen.startswith("unix:"):
        return
    host, _, port = listen.rpartition(":")
    if not port.isdigit() or not _is_loopback(host.strip("[]")):
        raise ListenError(f"will not listen on {listen} in plain text; use unix:PATH or 127.0.0.1:PORT")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _wait_for_the_end(exit_on_stdin_eof: bool) -> float:
    """Sleeps until the server shall stop; returns the seconds that running calls may still take."""
    end = threading.Event()
    drain_s = _DRAIN_S

    def watch_stdin() -> None:
        nonlocal drain_s
        while os.read(0, 4096):
            pass
        drain_s = 0.0
        end.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: end.set())
    if exit_on_stdin_eof:
        threading.Thread(target=watch_stdin, daemon=True).start()
    end.wait()
    return drain_s
