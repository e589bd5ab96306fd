"""Runners started on another machine's engine: this machine's own, reached over ssh as if it were far away."""

import contextlib
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import docker.errors
import docker.models.images
import pytest
from docker.models.containers import Container

from orchestrator.certificates import ORCHESTRATOR, Authority
from orchestrator.client import RunnerClient
from orchestrator.errors import CaseFailure, Stage, Symptom
from orchestrator.inventory import Host
from orchestrator.launch import images, reach
from orchestrator.launch.container import LABEL
from orchestrator.launch.process import ProcessLauncher
from orchestrator.launch.remote_docker import CERTS, PORT, provide
from tests.docker.second_engine import SecondEngine, second_engine

pytestmark = pytest.mark.docker

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin")


@pytest.fixture(scope="module")
def ssh_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of this machine's engine through an ssh server of the tests' own, and a configuration that knows it."""
    if SSHD is None:
        pytest.skip("OpenSSH's server is not installed")
    folder = tmp_path_factory.mktemp("ssh")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    for key in ("host", "user"):
        keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)]
        subprocess.run(keygen, check=True)
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {(folder / 'host.pub').read_text()}")
    (folder / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/user.pub\n"
        "PidFile none\nStrictModes no\nPasswordAuthentication no\n"
    )
    (folder / "config").write_text(f"IdentityFile {folder}/user\nUserKnownHostsFile {folder}/known_hosts\n")
    ssh = folder / "ssh"
    ssh.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {folder}/config "$@"\n')
    ssh.chmod(0o700)
    Path("/run/sshd").mkdir(exist_ok=True)
    server = subprocess.Popen([SSHD, "-D", "-e", "-f", folder / "sshd_config"], stderr=subprocess.DEVNULL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        try:
            yield f"ssh://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait()


@pytest.fixture
def tls_engine(authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Address of this machine's engine over mutual TLS, as its `--tlsverify` would have it."""
    server = authority.certify(["127.0.0.1"]).files()
    for folder, files in (("server", server), ("client", authority.certify([ORCHESTRATOR]).files())):
        (tmp_path / folder).mkdir()
        for name, other in (("ca.crt", "ca.pem"), ("tls.crt", "cert.pem"), ("tls.key", "key.pem")):
            (tmp_path / folder / other).write_bytes(files[name])
    monkeypatch.setenv("DOCKER_CERT_PATH", str(tmp_path / "client"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(tmp_path / "server" / "ca.pem"))
    context.load_cert_chain(tmp_path / "server" / "cert.pem", tmp_path / "server" / "key.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=relay, args=(listener, context), daemon=True).start()
        yield f"tcp://127.0.0.1:{listener.getsockname()[1]}"


def relay(listener: socket.socket, context: ssl.SSLContext) -> None:
    """Each connection to the engine's Unix socket, both ways until one side ends."""

    def carry(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(1 << 16):
                target.sendall(piece)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    while True:
        try:
            accepted, _ = listener.accept()
        except OSError:
            return
        try:
            secured = context.wrap_socket(accepted, server_side=True)
        except OSError:
            continue
        engine = socket.socket(socket.AF_UNIX)
        engine.connect("/var/run/docker.sock")
        for ends in ((secured, engine), (engine, secured)):
            threading.Thread(target=carry, args=ends, daemon=True).start()


def test_a_runner_on_an_engine_over_tls_answers_and_is_gone_afterwards(
    tls_engine: str, engine: docker.DockerClient
) -> None:
    host = null_at(tls_engine)
    with (
        reach(host, host.entries()[0], ProcessLauncher()) as launched,
        RunnerClient("null", launched.endpoint) as client,
    ):
        assert client.describe().runtime == "null"
        assert published_at(engine, launched.endpoint.port)
    assert not published_at(engine, launched.endpoint.port)


def null_at(engine: str) -> Host:
    return Host.model_validate({"name": "far", "docker": engine, "runners": ["null"]})


def published_at(engine: docker.DockerClient, port: int) -> list[Container]:
    """The container whose runner is reached at this port, if there is one."""
    found = engine.containers.list(filters={"label": LABEL})
    return [container for container in found if str(port) in str(container.ports.get(f"{PORT}/tcp"))]


def test_a_runner_over_ssh_is_hardened_answers_over_mutual_tls_and_is_gone_afterwards(
    ssh_engine: str, authority: Authority, engine: docker.DockerClient
) -> None:
    host = null_at(ssh_engine)
    with reach(host, host.entries()[0], ProcessLauncher()) as launched:
        with RunnerClient("null", launched.endpoint) as client:
            assert client.describe().runtime == "null"
        (container,) = published_at(engine, launched.endpoint.port)
        attributes = container.attrs
        assert launched.isolation == "remote"
        assert launched.image_digest == engine.images.get(images.build("null")).id
        assert launched.certificate is not None
        assert launched.endpoint.certs is not None
        assert attributes["HostConfig"]["ReadonlyRootfs"] is True
        assert attributes["HostConfig"]["CapDrop"] == ["ALL"]
        assert attributes["Config"]["User"] == "10001:10001"
        _, kept = container.exec_run(["sh", "-c", f"stat -c '%a %u %n' {CERTS}/*"])
        assert isinstance(kept, bytes)
        assert {line.rpartition(b"/")[2]: line.split()[:2] for line in kept.splitlines()} == {
            name: [b"400", b"10001"] for name in (b"ca.crt", b"tls.crt", b"tls.key")
        }
    assert not published_at(engine, launched.endpoint.port)


def test_it_is_gone_after_its_orchestrator_was_killed(
    ssh_engine: str, authority: Authority, engine: docker.DockerClient
) -> None:
    script = (
        "import time\n"
        "from orchestrator.launch.remote_docker import RemoteDockerLauncher\n"
        "from orchestrator.runtimes import RUNNERS\n"
        f"with RemoteDockerLauncher({ssh_engine!r}, '127.0.0.1').start(RUNNERS['null']) as launched:\n"
        "    print(launched.endpoint.port, flush=True)\n"
        "    time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as orchestrator:
        assert orchestrator.stdout is not None
        port = int(orchestrator.stdout.readline())
        assert published_at(engine, port)
        orchestrator.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 30
    while published_at(engine, port):
        assert time.monotonic() < deadline, "its container lives on"
        time.sleep(0.2)


@pytest.mark.parametrize(
    ("engine_address", "words"),
    [
        ("ssh://nobody-of-that-name@127.0.0.1:1", "must work without a question"),
        ("tcp://192.0.2.1:2375", "set DOCKER_CERT_PATH"),
        ("tcp://127.0.0.1:1", "cannot be started on tcp://127.0.0.1:1"),
    ],
)
def test_an_engine_that_cannot_be_reached_is_one_line(
    engine_address: str, words: str, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DOCKER_CERT_PATH", raising=False)
    host = null_at(engine_address)
    with pytest.raises(CaseFailure) as raised, reach(host, host.entries()[0], ProcessLauncher()):
        pass
    assert (raised.value.stage, raised.value.symptom) == (Stage.SHIP, Symptom.UNAVAILABLE)
    assert words in raised.value.message
    assert "\n" not in raised.value.message


@pytest.fixture(scope="module")
def bare_engine() -> Iterator[SecondEngine]:
    """Of the tests' own, for all of them."""
    with second_engine() as engine:
        yield engine


@pytest.fixture
def registry(bare_engine: SecondEngine, tmp_path: Path) -> Iterator[str]:
    """Address, as the second engine sees it, of an empty registry in its network namespace."""
    if shutil.which("docker-registry") is None:
        pytest.skip("no registry is installed: docker-registry")
    inside = ["nsenter", f"--net=/proc/{bare_engine.pid}/ns/net"]
    subprocess.run([*inside, "ip", "link", "set", "lo", "up"], check=True)
    storage = {"filesystem": {"rootdirectory": str(tmp_path)}}
    settings = {"version": "0.1", "storage": storage, "http": {"addr": "127.0.0.1:5000"}}
    (tmp_path / "config.json").write_text(json.dumps(settings))
    command = [*inside, "docker-registry", "serve", str(tmp_path / "config.json")]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            listening = [*inside, "ss", "--listening", "--tcp", "--numeric", "--no-header", "sport = 5000"]
            while not subprocess.run(listening, check=True, capture_output=True).stdout:
                assert process.poll() is None, "the registry did not come up"
                time.sleep(0.1)
            yield "127.0.0.1:5000/portbench"
        finally:
            process.terminate()


def test_an_engine_that_has_not_the_image_is_sent_it_once(
    bare_engine: SecondEngine, engine: docker.DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = images.build("null")
    provide(reference, bare_engine.client)
    assert bare_engine.client.images.get(reference).id == engine.images.get(reference).id
    monkeypatch.delattr(docker.models.images.ImageCollection, "load")
    provide(reference, bare_engine.client)


def test_an_engine_pulls_the_image_from_the_registry_once_that_has_it(
    bare_engine: SecondEngine, registry: str, engine: docker.DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORTBENCH_REGISTRY", registry)
    reference = images.build("null")
    there, tag = bare_engine.client.images, reference.partition(":")[2]
    with contextlib.suppress(docker.errors.ImageNotFound):
        there.remove(reference)
    provide(reference, bare_engine.client)  # which the registry has not: sent
    there.get(reference).tag(f"{registry}/null", tag)
    there.push(f"{registry}/null", tag=tag)
    there.remove(reference)
    there.remove(f"{registry}/null:{tag}")
    monkeypatch.delattr(docker.models.images.ImageCollection, "load")
    provide(reference, bare_engine.client)
    assert there.get(reference).id == engine.images.get(reference).id
