"""Runners that are lost in a campaign: brought up again, the trial done once more, or a failure row."""

import io
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import docker
import psutil
import pytest
from docker.models.containers import Container

from benchmarks.machines import PORT, Machine, certified, machines, problem
from orchestrator import client as client_module
from orchestrator import endpoint, upkeep
from orchestrator.certificates import ORCHESTRATOR, Authority, orchestrators
from orchestrator.client import RunnerClient
from orchestrator.inventory import Inventory, load_inventory
from orchestrator.launch import container as container_module
from orchestrator.launch import images
from orchestrator.launch.docker import DockerLauncher
from orchestrator.launch.process import ProcessLauncher
from orchestrator.launch.remote_docker import provide
from orchestrator.results.selection import counting
from runner_api.v1 import runner_pb2 as api
from tests.docker.conftest import container_at
from tests.docker.second_engine import second_engine
from tests.docker.test_launcher import is_gone
from tests.faults.conftest import SUITE, Campaign
from tests.faults.runner import Standing
from tests.runners import models

HERE = load_inventory(None, ("onnxruntime",))
PHASES = ("import", "load", "first", "warmup", "steady")
Fault = Callable[[str, str], None]
"""Gets the runner's gRPC target and the phase that a trial there begins."""
OnPhase = Callable[[Fault], None]


@pytest.fixture
def on_phase(monkeypatch: pytest.MonkeyPatch) -> OnPhase:
    """Has each phase of each trial told."""

    def tell(fault: Fault) -> None:
        real = RunnerClient.measure

        def measure(self: RunnerClient, request: api.MeasureRequest) -> api.TrialResult:
            return real(self, request, partial(fault, self._endpoint.target))

        monkeypatch.setattr(RunnerClient, "measure", measure)

    return tell


def statuses(begun: Campaign) -> list[tuple[str, int, str, str | None]]:
    """Of the rows, in their order."""
    return [(row.kind, row.trial, row.status, row.symptom) for row in begun.rows()]


def all_ok(trials: int) -> list[tuple[str, int, str, str | None]]:
    """What `statuses` gives for a campaign without failures."""
    return [("check", 0, "ok", None), *(("timing", trial, "ok", None) for trial in range(trials))]


@pytest.mark.docker
def test_a_container_that_is_killed_in_each_phase_of_a_trial_is_started_again(
    begun: Campaign, on_phase: OnPhase, engine: docker.DockerClient
) -> None:
    """Once in each of the first trials, which are done once more, and again and again in the last."""
    trials = len(PHASES) + 1
    due: list[str] = []
    seen: list[Container] = []

    def next_trial(what: str) -> None:
        number = int(what.rpartition(" ")[2]) if "timing" in what else trials
        due[:] = ["steady"] * 2 if number == trials else [PHASES[number - 1]]

    def kill(target: str, phase: str) -> None:
        if due[:1] == [phase]:
            del due[0]
            seen.append(container_at(engine, target))
            seen[-1].kill()

    on_phase(kill)
    suite = SUITE.model_copy(update={"trials": SUITE.trials.model_copy(update={"timing": trials})})
    remarks = begun.run(HERE, DockerLauncher(), next_trial, suite)
    *whole, lost = statuses(begun)
    assert whole == all_ok(trials - 1)
    assert lost == ("timing", trials - 1, "failed", "unavailable")
    assert str(begun.rows()[-1].stage) == "measure"
    assert len(seen) == len({container.id for container in seen}) == len(PHASES) + 2
    assert len(remarks) == len(PHASES) + 1
    assert "bringing it up again" in remarks[0]
    assert all(is_gone(engine, container) for container in seen)


@pytest.mark.docker
def test_an_engine_that_is_restarted_in_a_trial_costs_nothing_but_time(
    begun: Campaign, on_phase: OnPhase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It asks its containers to end, and a runner ends the trial that is under way first."""
    reference = images.build("onnxruntime")
    monkeypatch.setattr(images, "build", lambda _image: reference)  # whose name depends on what an engine has
    monkeypatch.setattr(upkeep, "RETURN_TIMEOUT_S", 60.0)
    phases: list[str] = []
    with second_engine() as engine:
        provide(reference, engine.client)
        monkeypatch.setenv("DOCKER_HOST", engine.address)
        starting = threading.Timer(2.0, engine.start)

        def restart(_target: str, phase: str) -> None:
            phases.append(phase)
            if phases.count("steady") == 2 and phase == "steady":
                engine.stop()
                starting.start()

        on_phase(restart)
        begun.run(HERE, DockerLauncher())
        starting.join()
        assert statuses(begun) == all_ok(SUITE.trials.timing)
        assert phases.count("steady") == SUITE.trials.timing
        assert engine.client.containers.list(all=True) == []


@pytest.mark.docker
def test_rows_of_an_image_that_was_replaced_between_two_trials_are_not_mixed(
    begun: Campaign, engine: docker.DockerClient, on_phase: OnPhase, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = images.build("onnxruntime")
    second, _ = engine.images.build(fileobj=io.BytesIO(f"FROM {first}\nLABEL another=1".encode()), rm=True)
    used = [first]
    monkeypatch.setattr(images, "build", lambda _image: used[-1])
    running: list[str] = []
    on_phase(lambda target, _phase: running.append(target))

    def replace_image(what: str) -> None:
        if what.endswith("timing 3") and used == [first]:
            used.append(str(second.id))
            container_at(engine, running[-1]).kill()

    try:
        begun.run(HERE, DockerLauncher(), replace_image)
    finally:
        engine.images.remove(used[-1], force=True)
    rows = [row for row in begun.rows() if row.kind == "timing"]
    counted = counting(rows)
    assert [row.trial for row in rows if row not in counted] == [0, 1]
    assert sorted(row.trial for row in counted) == list(range(SUITE.trials.timing))
    assert len({row.image_digest for row in counted}) == 1


@pytest.mark.docker
def test_memory_that_ends_in_the_container_is_a_row_of_its_case(
    begun: Campaign, on_phase: OnPhase, engine: docker.DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Container] = []
    on_phase(lambda target, _phase: seen.append(container_at(engine, target)))
    monkeypatch.setattr(container_module, "MEMORY_SHARE", 2**30 / psutil.virtual_memory().total)
    begun.carrying(models.greedy_onnx(1 << 29)).run(HERE, DockerLauncher())
    assert {(status, symptom) for _, _, status, symptom in statuses(begun)} == {("failed", "out-of-memory")}
    begun.run(HERE, DockerLauncher())
    assert statuses(begun)[-SUITE.trials.timing :] == all_ok(SUITE.trials.timing)[1:]
    assert seen
    assert all(is_gone(engine, container) for container in seen)


def _workers(others: set[psutil.Process]) -> list[psutil.Process]:
    """Those below this process that compute, without `others`."""
    found = set(psutil.Process().children(recursive=True)) - others
    alive = (process for process in found if process.status() != psutil.STATUS_ZOMBIE)
    return [process for process in alive if "runners.worker" in process.cmdline()]


def test_a_worker_that_is_killed_costs_its_trial_only(begun: Campaign, on_phase: OnPhase) -> None:
    steady = []
    before = set(psutil.Process().children(recursive=True))

    def kill(_target: str, phase: str) -> None:
        steady.extend([phase] if phase == "steady" else [])
        if phase == "steady" and len(steady) == 2:
            (worker,) = _workers(before)
            worker.kill()

    on_phase(kill)
    begun.run(HERE, ProcessLauncher())
    expected = all_ok(SUITE.trials.timing)
    expected[2] = ("timing", 1, "failed", "out-of-memory")
    assert statuses(begun) == expected
    assert "SIGKILL" in str(begun.rows()[2].message)
    assert set(psutil.Process().children(recursive=True)) <= before


def test_a_runner_that_does_not_come_back_is_given_up_and_goes_on_when_resumed(begun: Campaign, tmp_path: Path) -> None:
    with Standing(tmp_path) as runner:

        def kill(what: str) -> None:
            if what.endswith("timing 2"):
                runner.kill()

        begun.run(runner.inventory, ProcessLauncher(), kill)
        lost = [("timing", trial, "failed", "unavailable") for trial in range(1, SUITE.trials.timing)]
        assert statuses(begun) == all_ok(1) + lost
        assert "was lost and does not come back" in str(begun.rows()[-1].message)
        runner.start()
        begun.run(runner.inventory, ProcessLauncher())
        assert runner.asked() == {"uploaded": 2, "measured": SUITE.trials.timing}
    assert [row for row in statuses(begun) if row not in lost] == all_ok(SUITE.trials.timing)


def test_rows_of_a_runner_that_was_upgraded_between_two_trials_are_not_mixed(begun: Campaign, tmp_path: Path) -> None:
    with Standing(tmp_path) as runner:

        def upgrade(what: str) -> None:
            if what.endswith("timing 3") and runner.asked()["measured"] == 2:
                runner.kill()
                runner.start(version="99.0")

        begun.run(runner.inventory, ProcessLauncher(), upgrade)
    rows = begun.rows()
    old = [row for row in rows if row.versions["onnxruntime"] != "99.0"]
    new = [row for row in rows if row.versions["onnxruntime"] == "99.0"]
    assert ([row.trial for row in old if row.kind == "timing"], len(old)) == ([0, 1], 3)
    assert sorted(row.trial for row in new if row.kind == "timing") == list(range(SUITE.trials.timing))
    assert [row.kind for row in new].count("check") == 1
    assert {row.software for row in old}.isdisjoint(row.software for row in new)
    assert counting(row for row in rows if row.kind == "timing") == [row for row in new if row.kind == "timing"]


@pytest.fixture
def far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """A machine with a runner; a cut of the way to it is soon noticed."""
    if (reason := problem()) is not None:
        pytest.skip(reason)
    monkeypatch.setenv("PORTBENCH_AUTHORITY", str(tmp_path / "certs"))
    Authority.create(tmp_path / "certs").issue([ORCHESTRATOR])
    monkeypatch.setattr(endpoint, "KEEPALIVE_S", 1.5)
    monkeypatch.setattr(endpoint, "KEEPALIVE_TIMEOUT_S", 1.5)
    monkeypatch.setattr(upkeep, "RETURN_TIMEOUT_S", 60.0)
    with machines(1) as (machine,):
        certs = certified(machine, tmp_path / "certs")
        with machine.serving("onnxruntime", certs, orchestrators(tmp_path / "certs")):
            yield machine


def test_a_network_that_is_cut_in_an_upload_and_in_a_trial_costs_nothing_but_time(
    begun: Campaign, far: Machine, on_phase: OnPhase, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuts: list[str] = []
    healing: list[threading.Timer] = []

    def cut(where: str) -> None:
        cuts.append(where)
        far.cut()
        healing.append(threading.Timer(4.0, far.heal))
        healing[-1].start()

    def upload(path: Path, sha256: str, wanted: Callable[[], bool]) -> Iterator[api.PutArtifactRequest]:
        for request in chunks(path, sha256, wanted):
            yield request
            if not cuts and request.WhichOneof("part") == "chunk":
                cut("upload")

    def trial(_target: str, phase: str) -> None:
        if phase == "steady" and cuts == ["upload"]:
            cut("trial")

    chunks = client_module._header_then_chunks
    monkeypatch.setattr(client_module, "_header_then_chunks", upload)
    on_phase(trial)
    where = {"name": far.name, "address": f"{far.address}:{PORT}", "runners": ["onnxruntime-cpu"]}
    remarks = begun.run(Inventory.model_validate({"hosts": [where]}), ProcessLauncher())
    assert cuts == ["upload", "trial"]
    assert statuses(begun) == all_ok(SUITE.trials.timing)
    assert len(remarks) == 2
