"""A container's limits: how many threads a runtime then really puts to work, and what becomes of a greedy one."""

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from docker.models.containers import Container
from numpy.typing import NDArray

from orchestrator.artifacts import sha256_of
from orchestrator.client import RunnerClient
from orchestrator.errors import Stage, Symptom
from orchestrator.launch.docker import DockerLauncher
from orchestrator.runtimes import RUNNERS
from runner_api.v1 import runner_pb2 as api
from tests.runners import models
from tests.runners.runner import SECOND_NS, archive, failing

pytestmark = pytest.mark.docker

CPUS = len(os.sched_getaffinity(0))
ONE_CPU = {"cpu_period": 100_000, "cpu_quota": 100_000}  # as of `docker run --cpus 1`
FIRST_CPU = {"cpu_quota": -1, "cpuset_cpus": "0"}
WIDE = np.random.default_rng(1).normal(size=(1024, 1024)).astype(np.float32)
RULE = api.StopRule(min_samples=1, max_time_ns=SECOND_NS, min_time_ns=SECOND_NS, max_warmup_ns=SECOND_NS // 5)
MOMENTS = 100
APART_S = 0.005

ContainerOf = Callable[[str], Container]


@pytest.mark.alone
@pytest.mark.parametrize(
    ("runner", "form"), [("onnxruntime-cpu", "onnx"), ("keras-cpu", "keras"), ("pytorch-cpu", "pt2")]
)
def test_as_many_threads_work_as_affinity_and_quota_allow(
    container_of: ContainerOf, runner: str, form: str, tmp_path: Path
) -> None:
    model = models.dense(form, tmp_path, weights=WIDE, bias=np.zeros(1024, np.float32))
    with DockerLauncher().start(RUNNERS[runner]) as launched, RunnerClient(runner, launched.endpoint) as client:
        container = container_of(launched.endpoint.target)
        for limits, allowed in (({}, CPUS), (ONE_CPU, 1), (FIRST_CPU, 1)):
            if limits:
                container.update(**limits)
            assert client.describe().available_cpus == allowed
            request = ordered(client, model, form, np.ones((512, 1024), np.float32), tmp_path)
            request.session.threads = allowed
            work = watched(container, client, request)
            assert work.share_above(allowed) < 0.5, work
            assert work.cores > 0.55 * allowed, work


def test_a_runtime_beyond_the_container_s_memory_ends_alone(container_of: ContainerOf, tmp_path: Path) -> None:
    with DockerLauncher().start(RUNNERS["onnxruntime-cpu"]) as launched:
        container = container_of(launched.endpoint.target)
        container.update(mem_limit="1g", memswap_limit="1g")
        with RunnerClient("onnxruntime-cpu", launched.endpoint) as client:
            greedy = ordered(client, models.greedy_onnx(1 << 29), "onnx", models.inputs(1), tmp_path)
            with failing(Stage.INFER, Symptom.OUT_OF_MEMORY, "give the runner more"):
                client.measure(greedy)
            modest = ordered(client, models.greedy_onnx(8), "onnx", models.inputs(1), tmp_path)
            assert client.measure(modest).timing.samples_ns
        assert not workers(container)


def ordered(
    client: RunnerClient, model: bytes, form: str, samples: NDArray[np.float32], folder: Path
) -> api.MeasureRequest:
    """A timing trial of one thread on all the samples as one batch, with what it needs put."""
    return api.MeasureRequest(
        session=api.Session(artifact_sha256=put(client, model, folder), format=form, device="cpu", threads=1),
        kind=api.TRIAL_KIND_TIMING,
        inputs_sha256=put(client, archive(samples), folder),
        batch_size=len(samples),
        stop_rule=RULE,
        timeout_ns=60 * SECOND_NS,
    )


def put(client: RunnerClient, content: bytes, folder: Path) -> str:
    """Ships it; returns its SHA-256."""
    file = folder / "to-put"
    file.write_bytes(content)
    sha256 = sha256_of(file)
    client.put_artifact(file, sha256)
    return sha256


@dataclass(frozen=True)
class Work:
    """How a worker computed: `cores` is its CPU time over the wall time, `runnable` how many of its threads had a core
    or waited for one, moment by moment, as the host's kernel saw it.

    That one waits counts, so that a runtime with more threads than cores does not hide among them. Which threads do the
    work may change from one inference to the next, so the shares of each tell less.
    """

    cores: float
    runnable: tuple[int, ...]

    def share_above(self, threads: int) -> float:
        """Of the moments with more threads at work."""
        return sum(count > threads for count in self.runnable) / len(self.runnable)


def watched(container: Container, client: RunnerClient, request: api.MeasureRequest) -> Work:
    """How the worker computes in the steady phase of a trial."""
    steady = threading.Event()

    def tell(phase: str) -> None:
        if phase == "steady":
            steady.set()

    with ThreadPoolExecutor(1) as pool:
        trial = pool.submit(client.measure, request, tell)
        assert steady.wait(60)
        (worker,) = workers(container)
        seen = []
        for _ in range(MOMENTS):
            time.sleep(APART_S)
            seen.append(runnable_threads(worker))
        timing = trial.result().timing
    return Work(timing.cpu_time_ns / timing.wall_time_ns, tuple(seen))


def workers(container: Container) -> list[int]:
    """Process ids, on the host, of the runner's workers."""
    listed = container.top(ps_args="-eo pid,args")["Processes"]
    return [int(process) for process, command in listed if "runners.worker" in command]


def runnable_threads(process: int) -> int:
    """How many threads have a core or wait for one."""
    tasks = Path(f"/proc/{process}/task").iterdir()
    return sum((task / "stat").read_text().rpartition(")")[2].split()[0] == "R" for task in tasks)
