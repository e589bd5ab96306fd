"""The runner's gRPC server: it listens, says that it is healthy, and stops when told to or no longer needed."""

import compileall
import ipaddress
import os
import resource
import signal
import threading
from collections.abc import Sequence
from concurrent import futures
from pathlib import Path

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from runner_api.v1 import runner_pb2, runner_pb2_grpc
from runner_api.v1.wire import MESSAGE_BYTES
from runners.admission import Admission
from runners.allocator import keep_freed_memory
from runners.certificates import Certificates
from runners.service import RunnerService
from runners.store import Store
from runners.supervisor import adopt_orphans

_RUNNER = runner_pb2.DESCRIPTOR.services_by_name["Runner"].full_name
# More than all calls together that Admission lets in, so that one that it refuses is told so at once.
_THREADS = 64
_MOST_CALLS = 2 * _THREADS
_MOST_CONNECTIONS = 2048
_DESCRIPTORS = 2 * _MOST_CONNECTIONS
_DRAIN_S = 5.0
_OPTIONS = [
    ("grpc.so_reuseport", 0),
    # What a caller may send ahead is fixed: the window that gRPC would choose grows to 100 MiB while the disk is slow.
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", 4 << 20),
    ("grpc.max_receive_message_length", MESSAGE_BYTES),
    ("grpc.max_send_message_length", MESSAGE_BYTES),
    ("grpc.max_concurrent_streams", 32),  # on one connection
    ("grpc.max_allowed_incoming_connections", _MOST_CONNECTIONS),
    ("grpc.server_handshake_timeout_ms", 20_000),
    ("grpc.max_connection_idle_ms", 600_000),
    # A caller who waits for a trial may ask for a sign of life, see orchestrator/endpoint.py.
    ("grpc.http2.min_ping_interval_without_data_ms", 1000),
]
# A caller on a network that was cut would keep its worker, and so everybody else waiting, until its own time is up.
_NETWORK_OPTIONS = [("grpc.keepalive_time_ms", 60_000), ("grpc.keepalive_timeout_ms", 20_000)]


class ListenError(Exception):
    """The server cannot listen there; the message is one line."""


def serve(
    runtime: str, listen: Sequence[str], store: Store, certificates: Certificates | None, exit_on_stdin_eof: bool
) -> None:
    """Serves until SIGTERM or SIGINT, then grants running calls a few seconds; none at the end of standard input.

    Prints where it listens, a line for each address.

    Args:
        runtime: name of an adapter.
        listen: one or more of "unix:PATH" and "HOST:PORT", port 0 for any that is free.
        store: of the artifacts.
        certificates: for mutual TLS on each HOST:PORT; without them these must be loopback and are plain text.
        exit_on_stdin_eof: standard input is the lifeline of whoever started this server.

    Raises:
        ListenError: another address, one that is taken, or one that wants certificates.
    """
    for address in listen:
        require_private(address, certificates)
    keep_freed_memory()
    adopt_orphans()
    _compile()
    _allow_descriptors()
    on_network = not all(address.startswith("unix:") for address in listen)
    server = grpc.server(
        futures.ThreadPoolExecutor(_THREADS),
        interceptors=[Admission()],
        options=_OPTIONS + (_NETWORK_OPTIONS if on_network else []),
        maximum_concurrent_rpcs=_MOST_CALLS,
    )
    runner_pb2_grpc.add_RunnerServicer_to_server(RunnerService(runtime, store), server)
    healthy = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    reflection.enable_server_reflection((_RUNNER, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
    lines = [f"{runtime} listens on {_listen(server, address, certificates)}" for address in listen]
    server.start()
    for service in ("", _RUNNER):
        healthy.set(service, health_pb2.HealthCheckResponse.SERVING)
    end = _End(exit_on_stdin_eof)
    print(*lines, sep="\n", flush=True)
    drain_s = end.wait()
    healthy.enter_graceful_shutdown()
    server.stop(drain_s).wait()


def require_private(address: str, certificates: Certificates | None) -> None:
    """Nobody else may listen in or call: a Unix socket, a loopback address, or mutual TLS.

    Raises:
        ListenError: something else.
    """
    if address.startswith("unix:"):
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or (":" in host and not host.startswith("[")):
        raise ListenError(f"cannot listen on {address!r}; give unix:PATH, HOST:PORT or [IPv6]:PORT")
    if certificates is None and not _is_loopback(host.strip("[]")):
        raise ListenError(
            f"will not listen on {address} in plain text; give --certs DIR, made by 'portbench certs init' and "
            "'portbench certs issue NAME' on the orchestrator's machine, or use unix:PATH or 127.0.0.1:PORT"
        )


def _compile() -> None:
    """Bytecode of the adapters, which a worker may not write: without it every trial would compile them anew."""
    package = Path(__file__).parent
    if os.access(package, os.W_OK):
        compileall.compile_dir(package, quiet=2)


def _listen(server: grpc.Server, address: str, certificates: Certificates | None) -> str:
    """Opens the address; returns it for people, with the port that was found and the certificate's fingerprint."""
    on_socket = address.startswith("unix:")
    try:
        if on_socket or certificates is None:
            port = server.add_insecure_port(address)
        else:
            port = server.add_secure_port(address, certificates.server_credentials())
    except RuntimeError as error:
        raise ListenError(
            f"cannot listen on {address}: is the address taken, or its folder missing? ({error})"
        ) from error
    if on_socket:
        return address
    where = f"{address.rpartition(':')[0]}:{port}"
    return f"{where}, certificate SHA-256 {certificates.fingerprint}" if certificates else f"{where}, plain text"


def _allow_descriptors() -> None:
    """Each connection takes one; many systems start a process with 1024, or 256, where it may ask for more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < _DESCRIPTORS:
        wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _End:
    """Of serving: signals are heard from its making on, and the end of standard input where that counts."""

    def __init__(self, exit_on_stdin_eof: bool) -> None:
        self._come = threading.Event()
        self._drain_s = _DRAIN_S
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._come.set())
        if exit_on_stdin_eof:
            threading.Thread(target=self._watch_stdin, daemon=True).start()

    def wait(self) -> float:
        """Sleeps until the server shall stop; returns the seconds that running calls may still take."""
        self._come.wait()
        return self._drain_s

    def _watch_stdin(self) -> None:
        while os.read(0, 4096):
            pass
        self._drain_s = 0.0
        self._come.set()
