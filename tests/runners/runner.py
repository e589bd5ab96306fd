"""A real runner in a process of its own, and what the tests ask of it."""

import contextlib
import hashlib
import io
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from numpy.typing import NDArray

from orchestrator.client import RunnerClient
from orchestrator.endpoint import Endpoint
from orchestrator.errors import CaseFailure, Stage, Symptom
from orchestrator.launch.readiness import wait_until_serving
from runner_api.v1 import runner_pb2 as api
from runner_api.v1 import runner_pb2_grpc

SECOND_NS = 1_000_000_000
QUICK = api.StopRule(min_samples=20, max_time_ns=SECOND_NS // 5, max_warmup_ns=10 * SECOND_NS)


@dataclass(frozen=True)
class Runner:
    """A runner that serves."""

    target: str
    process: subprocess.Popen[bytes]
    client: RunnerClient
    stub: runner_pb2_grpc.RunnerStub
    folder: Path

    def put(self, content: bytes) -> str:
        """Stores it; returns its SHA-256."""
        sha256 = hashlib.sha256(content).hexdigest()
        file = self.folder / "to-put"
        file.write_bytes(content)
        self.client.put_artifact(file, sha256)
        return sha256

    def session(self, artifact: bytes, form: str, device: str = "cpu") -> api.Session:
        """One thread."""
        return api.Session(artifact_sha256=self.put(artifact), format=form, device=device, threads=1)

    def request(
        self, session: api.Session, samples: NDArray[Any], rule: api.StopRule = QUICK, timeout_s: int = 60
    ) -> api.MeasureRequest:
        """A timing trial on all the samples as one batch."""
        return api.MeasureRequest(
            session=session,
            kind=api.TRIAL_KIND_TIMING,
            inputs_sha256=self.put(archive(samples)),
            batch_size=len(samples),
            stop_rule=rule,
            timeout_ns=timeout_s * SECOND_NS,
        )

    def workers(self) -> list[int]:
        """Process ids of what the server started and still runs."""
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        return [int(child) for children in tasks for child in children.read_text().split()]

    def cpu_time_s(self) -> float:
        """Of the server alone, to the kernel's clock tick."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_bytes(self) -> int:
        """Of the server alone."""
        match = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{self.process.pid}/status").read_text())
        assert match
        return int(match[1]) * 1024


@contextlib.contextmanager
def running(runtime: str, own_folders: bool = False) -> Iterator[Runner]:
    """Starts a runner on a Unix socket; ends it by the end of its standard input.

    Its store is relative to its current folder, where something lies that no worker may take for a library. With
    `own_folders` its home folder and its temporary files are there too.
    """
    with tempfile.TemporaryDirectory(prefix="pb-") as folder:
        target = f"unix:{folder}/runner.sock"
        Path(folder, "numpy.py").write_text("raise ImportError('a file of the user')")
        own = {"HOME": f"{folder}/home", "TMPDIR": f"{folder}/tmp"} if own_folders else {}
        for path in own.values():
            Path(path).mkdir()
        command = [sys.executable, "-P", "-m", "runners", runtime, "--listen", target, "--store", "store"]
        process = subprocess.Popen(
            [*command, "--exit-on-stdin-eof"],
            cwd=folder,
            env=os.environ | own,
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdin
        try:
            wait_until_serving(Endpoint(target), 60, lambda: None if process.poll() is None else "it ended")
            with RunnerClient(runtime, Endpoint(target)) as client, grpc.insecure_channel(target) as channel:
                yield Runner(target, process, client, runner_pb2_grpc.RunnerStub(channel), Path(folder))
        finally:
            process.stdin.close()
            process.wait(30)


def archive(samples: NDArray[Any]) -> bytes:
    """Inputs as they are put."""
    file = io.BytesIO()
    np.savez(file, input=samples)
    return file.getvalue()


@contextlib.contextmanager
def failing(stage: Stage, symptom: Symptom, words: str = "") -> Iterator[pytest.ExceptionInfo[CaseFailure]]:
    """What is inside ends as that row, with a message of one line."""
    with pytest.raises(CaseFailure) as raised:
        yield raised
    assert (raised.value.stage, raised.value.symptom) == (stage, symptom), raised.value.message
    assert words in raised.value.message
    assert "\n" not in raised.value.message
