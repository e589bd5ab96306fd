"""Runners as child processes in sessions of their own: where no engine answers, and on macOS for Core ML."""

import contextlib
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from orchestrator import scratch
from orchestrator.endpoint import Endpoint
from orchestrator.launch import Launched, require_system
from orchestrator.launch.readiness import wait_until_serving
from orchestrator.runtimes import RunnerKind
from runner_api.v1.wire import LOCAL_OWNER

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0


class ProcessLauncher:
    """Starts `python -m runners` under the interpreter that runs the orchestrator."""

    @contextlib.contextmanager
    def start(self, kind: RunnerKind) -> Iterator[Launched]:
        """See Launcher. The runner ends with its standard input, so it also ends when this process is killed."""
        require_system(kind, platform.system())
        with scratch.folder() as folder:
            endpoint = Endpoint(f"unix:{folder}/runner.sock")
            log, store = folder / "log", folder / "store"
            process = _spawn(kind, endpoint.target, store, log)
            try:
                wait_until_serving(endpoint, START_TIMEOUT_S, lambda: _death(process, kind, log))
                yield Launched(endpoint, "process", python=(sys.executable,), store=str(store / LOCAL_OWNER))
            finally:
                _stop(process)


def _spawn(kind: RunnerKind, target: str, store: Path, log: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-P", "-m", "runners", kind.runtime, "--listen", target, "--store", str(store)]
    with log.open("wb") as output:
        return subprocess.Popen(
            [*command, "--exit-on-stdin-eof"],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | {"TMPDIR": str(log.parent)},  # of its workers, too, which may be killed with it
            start_new_session=True,
        )


def _death(process: subprocess.Popen[bytes], kind: RunnerKind, log: Path) -> str | None:
    """Why the process is no more, None while it lives."""
    if process.poll() is None:
        return None
    lines = log.read_text(errors="replace").strip().splitlines()
    return f"the runner {kind.name} ended at its start: {lines[-1] if lines else f'exit code {process.returncode}'}"


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Lets the runner drain, then ends its whole session."""
    process.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_TIMEOUT_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdin:
        process.stdin.close()
