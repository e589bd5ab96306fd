"""A second Docker engine, which tests may stop; its process is alone in a network namespace."""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

_NO_NETWORK = ("--bridge=none", "--iptables=false", "--ip6tables=false")


class SecondEngine:
    """Has no image at first, and keeps what it has when it is started again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.address = f"unix://{folder}/engine.sock"
        self.start()

    def start(self) -> None:
        """Returns when it answers."""
        arguments = {"data-root": "data", "exec-root": "exec", "pidfile": "pid"}
        paths = (f"--{name}={self._folder / part}" for name, part in arguments.items())
        # In a network of its own: it would take the first engine's bridge away.
        self._process = subprocess.Popen(
            ["unshare", "--net", "dockerd", f"--host={self.address}", *paths, *_NO_NETWORK],  # noqa: S607
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(300):
            assert self._process.poll() is None, "the second engine did not come up"
            with contextlib.suppress(docker.errors.DockerException):
                self.client = docker.DockerClient(self.address, timeout=120)
                return
            time.sleep(0.1)
        raise AssertionError("the second engine does not answer")

    @property
    def pid(self) -> int:
        """Of its process, which has the namespace."""
        return self._process.pid

    def stop(self) -> None:
        """As at a restart of the machine's service: its containers end with it."""
        self.client.close()
        self._process.terminate()
        self._process.wait(60)


@contextlib.contextmanager
def second_engine() -> Iterator[SecondEngine]:
    """Running; skips the test where it cannot be."""
    if os.getuid():
        pytest.skip("only root starts a second engine")
    # Not under pytest's folder: the engine's sockets have long names of their own.
    folder = Path("/tmp") / f"pb-engine-{os.getpid()}"
    folder.mkdir(mode=0o700)
    try:
        engine = SecondEngine(folder)
        try:
            yield engine
        finally:
            engine.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
