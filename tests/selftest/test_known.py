"""Known behaviours, measured by real runners in fresh processes; and what the plain loops beside them see."""

from pathlib import Path

import pytest

from orchestrator.errors import CaseFailure, Stage, Symptom
from orchestrator.launch import Launcher
from orchestrator.launch.docker import DockerLauncher
from orchestrator.launch.process import ProcessLauncher
from orchestrator.selftest import server, subjects
from orchestrator.selftest.place import Place, Subject, place
from orchestrator.suite import StopRule
from tests.runners.runner import failing

MIB = 1 << 20
RULE = StopRule(min_samples=5, min_time_s=0.01, min_undisturbed_samples=0, max_time_s=2, max_warmup_s=0.05)


def peak_bytes(runner: Place, folder: Path, allocate_bytes: int) -> int:
    """The highest of a memory trial."""
    memory = runner.memory(subjects.known(folder, allocate_bytes=allocate_bytes))
    return max(phase.peak_bytes for phase in memory.phases)


def test_a_known_allocation_is_what_the_peak_rises_by(known_runner: Place, tmp_path: Path) -> None:
    base = peak_bytes(known_runner, tmp_path, 1)
    assert peak_bytes(known_runner, tmp_path, 64 * MIB) - base == pytest.approx(64 * MIB, rel=0.02)


def test_a_known_allocation_is_gone_after_each_inference(known_runner: Place, tmp_path: Path) -> None:
    memory = known_runner.memory(subjects.known(tmp_path, allocate_bytes=64 * MIB, hold_ns=1_000_000))
    assert all(phase.rss_bytes < phase.peak_bytes - 32 * MIB for phase in memory.phases if phase.phase == "steady")


def test_no_sample_of_a_known_sleep_is_shorter(known_runner: Place, tmp_path: Path) -> None:
    samples = known_runner.time(subjects.known(tmp_path, hold_ns=5_000_000), RULE).values_ns
    assert len(samples) >= 5
    assert samples.min() >= 5_000_000


@pytest.mark.parametrize(
    "document",
    [
        "sleep",
        "[]",
        '{"hold_ns": 1}',
        '{"allocate_bytes": -1, "hold_ns": 0}',
        '{"allocate_bytes": true, "hold_ns": 0}',
        '{"allocate_bytes": 0, "hold_ns": 0, "fork": 1}',
    ],
)
def test_another_document_is_refused(known_runner: Place, tmp_path: Path, document: str) -> None:
    subject = subjects.known(tmp_path)
    subject.model.write_text(document)
    with failing(Stage.LOAD, Symptom.REFUSED, "a known behaviour is a JSON document"):
        known_runner.time(subject, RULE)


@pytest.mark.parametrize("launcher", [pytest.param(DockerLauncher(), marks=pytest.mark.docker), ProcessLauncher()])
def test_plain_loops_run_where_the_runner_lives(launcher: Launcher, dense: Subject) -> None:
    with place(launcher, "onnxruntime-cpu") as runner:
        found = [
            runner.bare("clock", warmup_s=0, steady_s=0.01),
            runner.bare("sleep", "5000000", warmup_s=0, steady_s=0.02),
            runner.bare_model(dense, warmup_s=0, steady_s=0.01),
        ]
    for process in found:
        assert process.block_samples.sum() == len(process.values_ns)
        assert len(process.references_ns) == len(process.block_samples) + 1
        assert process.values_ns.min() >= 0
    assert found[1].values_ns.min() >= 5_000_000


@pytest.mark.docker
def test_the_null_image_serves_known_behaviours_too(tmp_path: Path) -> None:
    with place(DockerLauncher(), "known") as runner:
        assert runner.client.describe().runtime == "known"
        assert peak_bytes(runner, tmp_path, 64 * MIB) > 64 * MIB
        assert server.listener(runner.launched.endpoint.target) > 0


def test_a_plain_loop_that_fails_says_why_in_one_line(onnx_runner: Place) -> None:
    with pytest.raises(CaseFailure, match=r"the plain loop failed: .*nowhere") as raised:
        onnx_runner.bare("onnxruntime", "/nowhere/model", "/nowhere/inputs", warmup_s=0, steady_s=0)
    assert "\n" not in raised.value.message


def test_the_process_that_listens_is_the_runner(known_runner: Place) -> None:
    command = Path(f"/proc/{server.listener(known_runner.launched.endpoint.target)}/cmdline").read_text().split("\0")
    assert "runners" in command
    assert known_runner.launched.endpoint.target in command
