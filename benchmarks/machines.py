"""Machines for trying several hosts on one: each a network namespace with an address, a boot id and a processor.

Linux, as root, with iproute2. What runs in one is reached over a link of its own, which can be made late and lossy.
"""

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from benchmarks import link as link_module
from benchmarks.link import tun
from orchestrator.certificates import Authority
from orchestrator.endpoint import Endpoint
from orchestrator.launch.readiness import wait_until_serving

PORT = 50051
_NETWORK = "198.18"
"""Reserved for such trials (RFC 2544)."""


def problem() -> str | None:
    """Why there can be no such machines here, None when there can."""
    if sys.platform != "linux" or os.getuid():
        return "needs Linux and root"
    missing = [tool for tool in ("ip", "unshare", "taskset") if shutil.which(tool) is None]
    if missing:
        return f"needs the command '{missing[0]}'"
    name = _name(0)
    command = ["ip", "netns", "add", name]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode != 0:
        return f"network namespaces cannot be made ({made.stderr.strip()})"
    _run("ip", "netns", "delete", name)
    try:
        os.close(tun(_link(0)))
    except OSError as error:
        return f"TUN devices cannot be made ({error})"
    return None


@dataclass(frozen=True)
class Machine:
    """One that stands until `machines` ends."""

    number: int
    link: IO[str]

    @property
    def address(self) -> str:
        """IPv4."""
        return f"{_NETWORK}.{self.number}.2"

    @property
    def name(self) -> str:
        """For an inventory."""
        return f"machine{self.number}"

    @contextlib.contextmanager
    def serving(self, runtime: str, certs: Path, orchestrators: Path, port: int = PORT) -> Iterator[Endpoint]:
        """A runner over mutual TLS, on a processor of the machine's own as far as there are so many."""
        processor = sorted(os.sched_getaffinity(0))[self.number % len(os.sched_getaffinity(0))]
        with tempfile.TemporaryDirectory(prefix="pb-") as folder:
            boot_id = Path(folder) / "boot_id"
            boot_id.write_text(f"{uuid.uuid4()}\n")
            runner = [
                *("taskset", "--cpu-list", str(processor), sys.executable, "-P", "-m", "runners", runtime),
                *("--listen", f"{self.address}:{port}", "--certs", str(certs), "--store", f"{folder}/store"),
                "--exit-on-stdin-eof",
            ]
            script = f"mount --bind {boot_id} /proc/sys/kernel/random/boot_id && exec {shlex.join(runner)}"
            command = ["ip", "netns", "exec", _name(self.number), "unshare", "--mount", "sh", "-c", script]
            endpoint = Endpoint(f"{self.address}:{port}", orchestrators)
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
            try:
                wait_until_serving(endpoint, 60, lambda: None if process.poll() is None else "it ended at its start")
                yield endpoint
            finally:
                _end(process)

    @contextlib.contextmanager
    def impaired(self, delay_ms: float, loss_percent: float = 0) -> Iterator[None]:
        """A round trip to the machine takes `delay_ms` more, and so many packets are lost on either way."""
        self._set_link(delay_ms / 2e3, loss_percent / 100)
        try:
            yield
        finally:
            self.heal()

    def cut(self) -> None:
        """Nothing gets through any more, and nobody is told."""
        self._set_link(0, 1)

    def heal(self) -> None:
        """Everything gets through."""
        self._set_link(0, 0)

    def _set_link(self, delay_s: float, loss: float) -> None:
        self.link.write(f"{delay_s} {loss}\n")
        self.link.flush()

    def received_bytes(self) -> int:
        """That came to the machine over its link so far, all headers included."""
        return int(Path(f"/sys/class/net/{_link(self.number)}/statistics/tx_bytes").read_text())


@contextlib.contextmanager
def machines(count: int) -> Iterator[list[Machine]]:
    """So many of them, for the time of the context."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(_machine(number)) for number in range(1, count + 1)]


@contextlib.contextmanager
def _machine(number: int) -> Iterator[Machine]:
    name, link = _name(number), _link(number)
    with contextlib.ExitStack() as stack:
        _run("ip", "netns", "add", name)
        stack.callback(_run, "ip", "netns", "delete", name)
        near, far = tun(link), tun(f"{link}b")
        command = [sys.executable, str(Path(link_module.__file__)), str(near), str(far)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[near, far], text=True)
        stack.callback(_end, process)
        os.close(near)
        os.close(far)
        assert process.stdin  # noqa: S101  asked for
        machine = Machine(number, process.stdin)
        _run("ip", "address", "add", f"{_NETWORK}.{number}.1/24", "dev", link)
        _run("ip", "link", "set", link, "up")
        _run("ip", "link", "set", f"{link}b", "netns", name)
        _run("ip", "-netns", name, "address", "add", f"{machine.address}/24", "dev", f"{link}b")
        for device in ("lo", f"{link}b"):
            _run("ip", "-netns", name, "link", "set", device, "up")
        yield machine


def certified(machine: Machine, authority: Path) -> Path:
    """The folder of a new certificate of the machine, by the authority in that folder."""
    folder, _ = Authority(authority).issue([machine.address])
    return folder


def _end(process: subprocess.Popen[Any]) -> None:
    """By the end of its standard input; by force if it does not listen."""
    try:
        process.communicate(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()


def _name(number: int) -> str:
    return f"portbench-{os.getpid()}-{number}"


def _link(number: int) -> str:
    return f"pb{os.getpid()}-{number}"


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
