"""A real Dask cluster on this machine: what it makes is what is made here, and what goes wrong is said in one line."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from dask import config as dask_config
from distributed import Client

from orchestrator import cluster, isolated, preparation
from orchestrator.artifacts import JSON, Artifact, Cache
from orchestrator.cluster import Cluster
from orchestrator.errors import CaseFailure, Stage, Symptom, UsageError
from orchestrator.isolated import StoppedError
from orchestrator.robustness import AttackEntry
from orchestrator.robustness.crafted import Source
from orchestrator.workplace import BUILD_HOST, Files, Workplace
from tests.conversion import behaviours
from tests.sources import SEED, TRAINING

ROOT = Path(__file__).resolve().parents[2]
(FGSM,) = AttackEntry(name="fgsm", samples=20, epsilon=(0.1,)).attacks()
CONVERTED_TO = {"keras": "onnx", "pytorch": "coreml"}
SUITE = """\
name: tiny
models: [{name: lenet5, source_frameworks: [pytorch], data: digits, training: {epochs: 100000}}]
runtimes: [onnxruntime]
"""


@contextmanager
def _dask(folder: Path, *arguments: str, code: Path = ROOT) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a command of Dask's with the portbench of `code`; its temporary files and its log are in `folder`."""
    paths = os.pathsep.join(map(str, (code, ROOT, ROOT / "proto")))
    command = [str(Path(sys.executable).with_name("dask")), *arguments, "--host", "127.0.0.1", "--no-dashboard"]
    environment = os.environ | {"PYTHONPATH": paths, "TMPDIR": str(folder)}
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


@contextmanager
def _scheduler(folder: Path, *arguments: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    told = folder / "scheduler.json"
    with _dask(folder, "scheduler", "--port", "0", "--scheduler-file", str(told), *arguments) as process:
        _wait_until(lambda: told.exists() and told.read_text().endswith("}"))
        yield json.loads(told.read_text())["address"], process


def _worker(folder: Path, address: str, code: Path = ROOT) -> AbstractContextManager[subprocess.Popen[bytes]]:
    return _dask(folder, "worker", address, "--nthreads", "1", "--local-directory", str(folder), code=code)


@dataclass(frozen=True)
class Dask:
    """A scheduler with two workers, and the folder of the workers' temporary files."""

    address: str
    folder: Path


@pytest.fixture(scope="module")
def dask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dask]:
    folder = tmp_path_factory.mktemp("dask")
    with _scheduler(folder) as (address, _), _worker(folder, address), _worker(folder, address):
        with Client(address, set_as_default=False) as client:
            client.wait_for_workers(2, 60)
        yield Dask(address, folder)


@contextmanager
def _connected(dask: Dask, slice_s: float = cluster.SLICE_S) -> Iterator[Cluster]:
    with closing(cluster.connect(dask.address, slice_s)) as place:
        _wait_until(lambda: place.room == 2)
        yield place


@pytest.fixture
def place(dask: Dask) -> Iterator[Cluster]:
    with _connected(dask) as place:
        yield place


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _call(place: Workplace, function: str, files: Files, **kwargs: Any) -> dict[str, JSON]:
    return place.call(f"{behaviours.__name__}:{function}", files=files, timeout_s=60, stage=Stage.CONVERT, **kwargs)


def _make(cache: Cache, framework: str, place: Workplace, told: list[str]) -> list[Artifact]:
    """A network, a conversion and an attack; each framework's conversion is to another format."""
    origin = preparation.Origin("lenet5", framework, "digits")
    inputs = preparation.prepare_inputs(cache, origin)
    artifact = preparation.prepare_source(cache, origin, TRAINING, SEED, told.append, place)
    answers = preparation.source_answers(cache, artifact, framework, inputs, place)["output_0"]
    converted = preparation.convert(cache, artifact, framework, CONVERTED_TO[framework], "float32", place)
    attacked = Source(cache, origin, artifact, inputs, answers).craft(FGSM, SEED, 300, told.append, place)
    return [artifact, converted, attacked.artifact]


def test_artifacts_of_a_cluster_are_those_of_the_build_host_bit_for_bit(
    cache: Cache, place: Cluster, tmp_path: Path
) -> None:
    told: dict[str, list[str]] = {framework: [] for framework in CONVERTED_TO}
    own = Cache(tmp_path)
    with ThreadPoolExecutor(2) as pool:
        there = list(pool.map(lambda name: _make(own, name, place, told[name]), CONVERTED_TO))
        here = list(pool.map(lambda name: _make(cache, name, BUILD_HOST, []), CONVERTED_TO))
    assert [[made.sha256 for made in artifacts] for artifacts in there] == [
        [made.sha256 for made in artifacts] for artifacts in here
    ]
    assert all("made_on" in made.details for artifacts in there for made in artifacts)
    for lines in told.values():
        assert [line.partition(":")[0] for line in (*lines[:2], lines[-1])] == ["epoch 1", "epoch 2", "20 of 20"]


def test_what_goes_wrong_on_a_worker_is_the_same_failure(place: Cluster) -> None:
    with pytest.raises(CaseFailure, match="died by SIGABRT: the library's last words") as raised:
        _call(place, "abort", Files({}, {}))
    assert (raised.value.stage, raised.value.symptom) == (Stage.CONVERT, Symptom.CRASH)


def test_finished_pieces_come_home_and_a_stopped_call_goes_on_with_the_next(
    dask: Dask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isolated, "stop", lambda: None)  # which would be for good, and for all tests
    pieces, pids = tmp_path / "pieces", tmp_path / "pids"
    files = Files({}, {"target": tmp_path / "whole.npz"}, {"chunks": pieces})
    with ThreadPoolExecutor(1) as pool, _connected(dask, slice_s=0) as place:
        call = pool.submit(_call, place, "in_pieces", files, hang_at=2, pids=str(pids))
        _wait_until(lambda: len(list(pieces.glob("*.npz"))) == 2)
        _wait_until(lambda: pids.exists() and pids.read_text().endswith("\n"))
        _wait_until(lambda: psutil.pid_exists(int(pids.read_text())))  # of the slice that hangs, not of the one before
        place.stop()
        with pytest.raises(StoppedError):
            call.result()
    _wait_until_gone(pids)
    before = {path.name: path.read_bytes() for path in pieces.iterdir()}
    assert sorted(before) == ["000000.npz", "000001.npz"]
    with _connected(dask) as place:
        _call(place, "in_pieces", files, hang_at=None, pids=str(pids))
    with np.load(tmp_path / "whole.npz") as archive:
        assert archive["input"].tolist() == [0, 1, 2, 3]
    assert {path.name: path.read_bytes() for path in pieces.iterdir()} == before


def test_a_campaign_that_is_interrupted_ends_its_work_on_the_cluster(dask: Dask, tmp_path: Path) -> None:
    suite, folder = tmp_path / "tiny.yaml", tmp_path / "campaign"
    suite.write_text(SUITE)
    command = [str(Path(sys.executable).with_name("portbench")), "run", str(suite), "--out", str(folder)]
    environment = os.environ | {"PORTBENCH_CACHE": str(tmp_path / "cache"), "PORTBENCH_DASK": dask.address}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        _wait_until(lambda: any(dask.folder.glob("pb-*")))
        process.terminate()
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors.count("\n")) == (130, 1), errors
    assert (folder / "trials.jsonl").read_bytes() == b""
    _wait_until(lambda: not any(dask.folder.glob("pb-*")))


def test_a_cluster_behind_tls_is_used_with_the_certificates_of_dasks_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = tmp_path / "dask.crt", tmp_path / "dask.key"
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=dask", "-days", "1"]
    subprocess.run([*request, "-out", certificate, "-keyout", key], check=True, capture_output=True)
    tls = "distributed.comm.tls"
    files = {
        f"{tls}.{role}.{name}": str(path)
        for role in ("scheduler", "worker", "client")
        for name, path in (("cert", certificate), ("key", key))
    }
    settings = files | {f"{tls}.ca-file": str(certificate)}
    for name, value in settings.items():
        monkeypatch.setenv("DASK_" + name.replace(".", "__").replace("-", "_").upper(), value)
    with _scheduler(tmp_path, "--protocol", "tls") as (address, _), _worker(tmp_path, address):
        assert address.startswith("tls://")
        with dask_config.set(settings), closing(cluster.connect(address)) as place:
            assert _call(place, "answer", Files({}, {}))["given"] == {}


def test_a_worker_that_is_lost_is_replaced_once(place: Cluster, tmp_path: Path) -> None:
    given, counted = tmp_path / "given", tmp_path / "counted"
    given.write_text("only one worker has this")
    _call(place, "kill_parent", Files({"given": given}, {}), counted=str(counted), times=1)
    assert counted.stat().st_size == 1
    with pytest.raises(CaseFailure, match="lost, twice") as raised:
        _call(place, "kill_parent", Files({"given": given}, {}), counted=str(counted), times=9)
    assert (raised.value.stage, raised.value.symptom) == (Stage.CONVERT, Symptom.UNAVAILABLE)


def test_a_worker_that_would_make_something_else_is_refused(place: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    here = cluster.made_with()
    monkeypatch.setattr(cluster, "made_with", lambda: here | {"keras": "2.0"})
    with pytest.raises(CaseFailure, match=rf"tcp://\S+ has keras {here['keras']} \(build host: 2.0\); ") as raised:
        _call(place, "answer", Files({}, {}))
    assert (raised.value.stage, raised.value.symptom) == (Stage.CONVERT, Symptom.REFUSED)


def test_a_cluster_that_cannot_be_used_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "_WORKERS_TIMEOUT_S", 0.5)
    monkeypatch.setattr(cluster, "_CHECK_S", 1.0)
    other = tmp_path / "other"
    shutil.copytree(ROOT / "orchestrator", other / "orchestrator", ignore=shutil.ignore_patterns("__pycache__"))
    with (other / "orchestrator" / "zoo" / "training.py").open("a") as file:
        file.write("# another version\n")
    (tmp_path / "none" / "orchestrator").mkdir(parents=True)
    # An editable installation would be found behind an empty package.
    (tmp_path / "none" / "orchestrator" / "__init__.py").write_text("raise ModuleNotFoundError('No module')\n")
    with _scheduler(tmp_path) as (address, scheduler):
        with pytest.raises(UsageError, match="has no worker; start some"):
            cluster.connect(address)
        monkeypatch.setattr(cluster, "_WORKERS_TIMEOUT_S", 60.0)
        with _worker(tmp_path, address, other), pytest.raises(UsageError, match=r"has portbench's modules \w{12} \("):
            cluster.connect(address)
        with (
            _worker(tmp_path, address, tmp_path / "none"),
            pytest.raises(UsageError, match=r"has no such portbench .*No module"),
        ):
            cluster.connect(address)
        with _worker(tmp_path, address), closing(cluster.connect(address)) as place:
            scheduler.kill()
            with pytest.raises(CaseFailure) as raised:
                _call(place, "answer", Files({}, {}))
            assert raised.value.symptom is Symptom.UNAVAILABLE


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("localhost:8786", "not an address; write tcp://HOST:PORT"),
        ("tcp://localhost", "not an address; write tcp://HOST:PORT"),
        ("http://localhost:8786", "not an address; write tcp://HOST:PORT"),
        ("tls://127.0.0.1:1", r"names no certificates; set distributed\.comm\.tls"),
    ],
)
def test_an_address_that_cannot_be_is_refused(address: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        cluster.connect(address)


def test_an_address_without_a_scheduler_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    address = "tcp://127.0.0.1:1"
    command = [str(Path(sys.executable).with_name("portbench")), "run", "--out", str(tmp_path / "c"), "--dask", address]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (ended.returncode, ended.stdout) == (2, ""), ended.stderr
    assert ended.stderr.startswith(f"Error: --dask {address}: ")
    assert ended.stderr.count("\n") == 1
    assert "no Dask scheduler answers" in ended.stderr
    assert not (tmp_path / "c").exists()


def _wait_until_gone(pids: Path) -> None:
    _wait_until(lambda: not any(map(psutil.pid_exists, map(int, pids.read_text().split()))))
