"""PutArtifact over a Unix socket beside a plain copy with SHA-256 on the same disk, and what it costs the server."""

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any

import psutil

from benchmarks.clock import timed
from orchestrator.artifacts import sha256_of
from orchestrator.client import RunnerClient
from orchestrator.launch.process import ProcessLauncher
from orchestrator.runtimes import RUNNERS
from orchestrator.selftest.server import listener

SIZE_BYTES = int(os.environ.get("BENCHMARK_ARTIFACT_BYTES", str(1 << 30)))
LOWEST_RATIO = 0.5
HIGHEST_GROWTH_BYTES = 64 << 20
REPEATS = 3
CHUNK_BYTES = 1 << 20


def run() -> dict[str, Any]:
    """Copies and puts in turn, a new runner for each put; both by their fastest."""
    copies_s, puts_s, growths = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "source", Path(folder) / "copy"
        _fill(source)
        sha256 = sha256_of(source)
        for _ in range(REPEATS):
            copies_s.append(timed(lambda: _copy(source, target))[1])
            target.unlink()
            put_s, growth_bytes = _put(source, sha256)
            puts_s.append(put_s)
            growths.append(growth_bytes)
    ratio = min(copies_s) / min(puts_s)
    return {
        "size_bytes": SIZE_BYTES,
        "put_bytes_per_s": SIZE_BYTES / min(puts_s),
        "copy_and_sha256_bytes_per_s": SIZE_BYTES / min(copies_s),
        "ratio": ratio,
        "ratio_bound": LOWEST_RATIO,
        "server_growth_bytes": max(growths),
        "server_growth_bound": HIGHEST_GROWTH_BYTES,
        "ok": ratio >= LOWEST_RATIO and max(growths) <= HIGHEST_GROWTH_BYTES,
    }


def _fill(path: Path) -> None:
    with path.open("wb") as file:
        for start in range(0, SIZE_BYTES, CHUNK_BYTES):
            file.write(os.urandom(min(CHUNK_BYTES, SIZE_BYTES - start)))


def _copy(source: Path, target: Path) -> str:
    digest = hashlib.sha256()
    with source.open("rb") as reading, target.open("wb", buffering=0) as writing:
        while chunk := reading.read(CHUNK_BYTES):
            writing.write(chunk)
            digest.update(chunk)
    return digest.hexdigest()


def _put(source: Path, sha256: str) -> tuple[float, int]:
    """Seconds, and the growth of the server's peak of resident memory."""
    with ProcessLauncher().start(RUNNERS["null"]) as launched, RunnerClient("null", launched.endpoint) as client:
        client.describe()
        server = listener(launched.endpoint.target)
        before = psutil.Process(server).memory_info().rss
        _, put_s = timed(lambda: client.put_artifact(source, sha256))
        return put_s, _peak_bytes(server) - before


def _peak_bytes(process: int) -> int:
    """VmHWM of Linux, which the kernel keeps; elsewhere what is resident now."""
    status = Path(f"/proc/{process}/status")
    if not status.exists():
        return int(psutil.Process(process).memory_info().rss)
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024
