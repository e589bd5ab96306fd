"""An authority of the tests' own, and runners that serve mutual TLS."""

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from orchestrator.certificates import ORCHESTRATOR, Authority


@pytest.fixture(scope="session")
def authority_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the authority and the orchestrator's certificate."""
    folder = tmp_path_factory.mktemp("certs")
    Authority.create(folder).issue([ORCHESTRATOR])
    return folder


@pytest.fixture
def authority(authority_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """The one that this process' orchestrator knows."""
    monkeypatch.setenv("PORTBENCH_AUTHORITY", str(authority_folder))
    return Authority(authority_folder)


@pytest.fixture(scope="module")
def engine() -> Iterator[docker.DockerClient]:
    """A client of this machine's engine."""
    with contextlib.closing(docker.from_env(timeout=300)) as client:
        yield client


@contextlib.contextmanager
def listening(certs: Path | None, runtime: str = "null", listen: str = "127.0.0.1:0") -> Iterator[str]:
    """A runner on loopback; gives its "HOST:PORT" as it prints it."""
    with tempfile.TemporaryDirectory(prefix="pb-") as store:
        command = [sys.executable, "-P", "-m", "runners", runtime, "--listen", listen, "--store", store]
        process = subprocess.Popen(
            [*command, *(["--certs", str(certs)] if certs else []), "--exit-on-stdin-eof"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout
        try:
            yield process.stdout.readline().partition(" listens on ")[2].partition(",")[0]
        finally:
            process.communicate(timeout=30)
