"""Docker engines of other machines: `ssh://USER@HOST[:PORT][/SOCKET]` and `tcp://HOST:PORT`."""

import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import docker
import docker.constants
import docker.errors
from docker.tls import TLSConfig

from orchestrator import scratch
from orchestrator.addresses import is_loopback
from orchestrator.launch.container import ENGINE_ERRORS, innermost

CONNECT_TIMEOUT_S = 20.0
PAUSE_S = 0.05
ENGINE_TIMEOUT_S = 600
"""Between two signs of life: an engine that unpacks an image of gigabytes is silent for long."""
SOCKET = "/var/run/docker.sock"
_SSH_OPTIONS = (
    *("BatchMode=yes", "ExitOnForwardFailure=yes", "ServerAliveInterval=60", "LogLevel=INFO"),
    # Whatever the user's configuration says: a shared connection would outlive this one, and the way to the engine too.
    *("ControlMaster=no", "ControlPath=none", "RemoteCommand=none", "ForwardAgent=no"),
)


class EngineError(Exception):
    """There is no way to the engine; the message is what follows the engine's address."""


@contextlib.contextmanager
def connected(address: str) -> Iterator[docker.DockerClient]:
    """A client of the engine at `address`.

    A tcp:// engine that is not on loopback must speak TLS: DOCKER_CERT_PATH names the folder with ca.pem, cert.pem and
    key.pem, as for Docker's own client. For ssh:// the ssh command makes the connection, with whatever its
    configuration says of the machine; it must not ask for anything.

    Raises:
        EngineError: the engine cannot be reached that way.
        DockerException, requests.RequestException: as each call of the client.
    """
    if address.startswith("ssh:"):
        with _tunnel(address) as tunnel, contextlib.closing(tunnel.client()) as client:
            yield client
        return
    folder = os.environ.get("DOCKER_CERT_PATH")
    if not folder and not is_loopback(urlsplit(address).hostname or ""):
        raise EngineError(
            "would be spoken to in plain text, which gives that machine to anyone; set DOCKER_CERT_PATH to the folder "
            "with its ca.pem, cert.pem and key.pem, or use ssh://"
        )
    try:
        tls = _tls(Path(folder)) if folder else False
    except docker.errors.TLSParameterError as error:
        raise EngineError(f"cannot be spoken to over TLS ({error})") from None
    with contextlib.closing(_client(address, tls)) as client:
        yield client


def _tls(folder: Path) -> TLSConfig:
    return TLSConfig((str(folder / "cert.pem"), str(folder / "key.pem")), str(folder / "ca.pem"), verify=True)


def _client(address: str, tls: TLSConfig | bool) -> docker.DockerClient:
    """Believes the authority in `tls` only: requests would put the one in REQUESTS_CA_BUNDLE in its place."""
    probe = docker.APIClient(address, version=docker.constants.DEFAULT_DOCKER_API_VERSION, tls=tls)
    probe.trust_env = False
    with contextlib.closing(probe):
        version = probe.version(api_version=False)["ApiVersion"]
    client = docker.DockerClient(address, version=version, tls=tls, timeout=ENGINE_TIMEOUT_S)
    client.api.trust_env = False
    return client


@dataclass(frozen=True)
class _Tunnel:
    """The ssh command at work."""

    machine: str
    socket: Path
    process: subprocess.Popen[bytes]
    log: IO[bytes]

    def wait(self) -> None:
        """Until the socket is there.

        Raises:
            EngineError: ssh gave up, or takes too long.
        """
        deadline = time.monotonic() + 2 * CONNECT_TIMEOUT_S
        while not self.socket.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise self._failure("no answer")
            time.sleep(PAUSE_S)

    def client(self) -> docker.DockerClient:
        """Of the engine at the far end, which ssh tries now only.

        Raises:
            EngineError: there is none, or it is not for this user.
        """
        try:
            return docker.DockerClient(f"unix://{self.socket}", timeout=ENGINE_TIMEOUT_S)
        except ENGINE_ERRORS as error:
            raise self._failure(innermost(error)) from None

    def _failure(self, otherwise: str) -> EngineError:
        self.log.seek(0)
        lines = self.log.read().decode(errors="replace").splitlines()
        said = " | ".join(line.strip() for line in lines[-3:] if line.strip()) or otherwise
        remedy = f"'ssh {self.machine} docker info' must work without a question"
        return EngineError(f"cannot be reached over ssh ({said}); {remedy}")


@contextlib.contextmanager
def _tunnel(address: str) -> Iterator[_Tunnel]:
    """A Unix socket here that is the engine's own there."""
    wanted = urlsplit(address)
    machine = f"{wanted.username}@{wanted.hostname}" if wanted.username else wanted.hostname or ""
    with scratch.folder() as folder, tempfile.TemporaryFile() as log:
        socket = folder / "engine.sock"
        options = (*_SSH_OPTIONS, f"ConnectTimeout={CONNECT_TIMEOUT_S:.0f}")
        command = [
            *("ssh", "-T", *(["-p", str(wanted.port)] if wanted.port else [])),
            *(part for option in options for part in ("-o", option)),
            # Ends with its standard input, that is with this process, however this one ends.
            *("-L", f"{socket}:{wanted.path.rstrip('/') or SOCKET}", "--", machine, "cat"),
        ]
        try:
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True)
        except FileNotFoundError:
            raise EngineError("needs the command 'ssh', which is not installed") from None
        try:
            tunnel = _Tunnel(machine, socket, process, log)
            tunnel.wait()
            yield tunnel
        finally:
            process.kill()  # it has nothing to put in order
            process.communicate()
