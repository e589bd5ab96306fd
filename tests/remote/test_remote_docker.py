"""Runners started on another machine's engine: this machine's own, reached over ssh as if it were far away."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import docker.errors
import docker.models.images
import pytest

from orchestrator.certificates import Authority
from orchestrator.client import RunnerClient
from orchestrator.errors import CaseFailure, Stage, Symptom
from orchestrator.inventory import Host
from orchestrator.launch import images, reach
from orchestrator.launch.container import LABEL
from orchestrator.launch.process import ProcessLauncher
from orchestrator.launch.remote_docker import CERTS, provide

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


def null_at(engine: str) -> Host:
    return Host.model_validate({"name": "far", "docker": engine, "runners": ["null"]})


def containers(engine: docker.DockerClient) -> set[str]:
    return {container.id or "" for container in engine.containers.list(all=True, filters={"label": LABEL})}


def test_a_runner_over_ssh_is_hardened_answers_over_mutual_tls_and_is_gone_afterwards(
    ssh_engine: str, authority: Authority, engine: docker.DockerClient
) -> None:
    before = containers(engine)
    host = null_at(ssh_engine)
    with reach(host, host.entries()[0], ProcessLauncher()) as launched:
        with RunnerClient("null", launched.endpoint) as client:
            assert client.describe().runtime == "null"
        (identifier,) = containers(engine) - before
        attributes = engine.containers.get(identifier).attrs
        assert launched.isolation == "remote"
        assert launched.image_digest == engine.images.get(images.build("null")).id
        assert launched.certificate_ends is not None
        assert launched.endpoint.certs is not None
        assert attributes["HostConfig"]["ReadonlyRootfs"] is True
        assert attributes["HostConfig"]["CapDrop"] == ["ALL"]
        assert attributes["Config"]["User"] == "10001:10001"
        _, kept = engine.containers.get(identifier).exec_run(["sh", "-c", f"stat -c '%a %u %n' {CERTS}/*"])
        assert isinstance(kept, bytes)
        assert {line.rpartition(b"/")[2]: line.split()[:2] for line in kept.splitlines()} == {
            name: [b"400", b"10001"] for name in (b"ca.crt", b"tls.crt", b"tls.key")
        }
    assert containers(engine) == before


def test_it_is_gone_after_its_orchestrator_was_killed(
    ssh_engine: str, authority: Authority, engine: docker.DockerClient
) -> None:
    before = containers(engine)
    script = (
        "import time\n"
        "from orchestrator.launch.remote_docker import RemoteDockerLauncher\n"
        "from orchestrator.runtimes import RUNNERS\n"
        f"with RemoteDockerLauncher({ssh_engine!r}, '127.0.0.1').start(RUNNERS['null']):\n"
        "    print('up', flush=True)\n"
        "    time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as orchestrator:
        assert orchestrator.stdout is not None
        assert orchestrator.stdout.readline() == "up\n"
        assert len(containers(engine) - before) == 1
        orchestrator.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 30
    while containers(engine) != before:
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


@pytest.fixture
def bare_engine() -> Iterator[docker.DockerClient]:
    """A second engine, which has no image yet."""
    if os.getuid():
        pytest.skip("only root starts a second engine")
    # Not under pytest's folder: the engine's sockets have long names of their own.
    folder = Path("/tmp") / f"pb-engine-{os.getpid()}"
    folder.mkdir(mode=0o700)
    arguments = {"data-root": "data", "exec-root": "exec", "pidfile": "pid"}
    # In a network of its own: it would take the first engine's bridge away.
    command = ["unshare", "--net", "dockerd", *(f"--{name}={folder / part}" for name, part in arguments.items())]
    process = subprocess.Popen(
        [*command, f"--host=unix://{folder}/engine.sock", "--bridge=none", "--iptables=false", "--ip6tables=false"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(300):
            assert process.poll() is None, "the second engine did not come up"
            with contextlib.suppress(docker.errors.DockerException):
                client = docker.DockerClient(f"unix://{folder}/engine.sock", timeout=120)
                break
            time.sleep(0.1)
        with contextlib.closing(client):
            yield client
    finally:
        process.terminate()
        process.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


def test_an_engine_that_has_not_the_image_is_sent_it_once(
    bare_engine: docker.DockerClient, engine: docker.DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = images.build("null")
    provide(reference, bare_engine)
    assert bare_engine.images.get(reference).id == engine.images.get(reference).id
    monkeypatch.delattr(docker.models.images.ImageCollection, "load")
    provide(reference, bare_engine)
