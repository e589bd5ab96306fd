"""Docker engines of other machines: `ssh://USER@HOST[:PORT][/SOCKET]` and `tcp://HOST:PORT`."""

import contextlib
import ipaddress
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import docker
import docker.constants
import docker.errors
from docker.tls import TLSConfig

CONNECT_TIMEOUT_S = 20.0
PAUSE_S = 0.05
SOCKET = "/var/run/docker.sock"


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
        with _tunnel(address) as socket, contextlib.closing(docker.DockerClient(f"unix://{socket}")) as client:
            yield client
        return
    folder = os.environ.get("DOCKER_CERT_PATH")
    if not folder and not _is_loopback(urlsplit(address).hostname or ""):
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
    client = docker.DockerClient(address, version=version, tls=tls)
    client.api.trust_env = False
    return client


@contextlib.contextmanager
def _tunnel(address: str) -> Iterator[Path]:
    """A Unix socket here that is the engine's own there."""
    wanted = urlsplit(address)
    machine = f"{wanted.username}@{wanted.hostname}" if wanted.username else wanted.hostname or ""
    port = ["-p", str(wanted.port)] if wanted.port else []
    with tempfile.TemporaryDirectory(prefix="pb-") as folder, tempfile.TemporaryFile() as log:
        socket = Path(folder) / "engine.sock"
        command = [
            *("ssh", "-T", *port, "-o", "BatchMode=yes", "-o", "ExitOnForwardFailure=yes"),
            *("-o", "ServerAliveInterval=15", "-o", f"ConnectTimeout={CONNECT_TIMEOUT_S:.0f}"),
            # Ends with its standard input, that is with this process, however this one ends.
            *("-L", f"{socket}:{wanted.path or SOCKET}", "--", machine, "cat"),
        ]
        try:
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True)
        except FileNotFoundError:
            raise EngineError("needs the command 'ssh', which is not installed") from None
        try:
            _await(socket, process)
            yield socket
        except TimeoutError:
            log.seek(0)
            said = " | ".join(log.read().decode(errors="replace").split("\n")).strip(" |\r")
            raise EngineError(
                f"cannot be reached over ssh ({said or 'no answer'}); 'ssh {machine}' must work without a question"
            ) from None
        finally:
            process.terminate()
            process.communicate()


def _await(socket: Path, process: subprocess.Popen[bytes]) -> None:
    """Until the tunnel stands, or TimeoutError."""
    deadline = time.monotonic() + 2 * CONNECT_TIMEOUT_S
    while not socket.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(PAUSE_S)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
