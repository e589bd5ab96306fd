"""The main job, end to end: the quick suite with each launcher, as a user starts it."""

import json
import os
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import psutil
import pytest

ROOT = Path(__file__).resolve().parents[1]
KEYS = [
    *("model", "source_framework", "format", "precision", "runtime", "device", "batch_size", "threads", "isolation"),
    *("host", "artifact_sha256", "artifact_bytes", "accuracy", "label_agreement", "max_abs_error", "load_ns"),
    *("first_ns", "median_ns", "median_low_ns", "median_high_ns", "median_as_seen_ns", "undisturbed_share"),
    *("samples", "trials", "stable", "peak_bytes", "status", "stage", "symptom", "message"),
]


def portbench(*arguments: str, cache: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Runs the command as a user would, in a cache of its own."""
    return subprocess.run(
        [str(Path(sys.executable).with_name("portbench")), *arguments],
        env=os.environ | {"PORTBENCH_CACHE": str(cache), "COLUMNS": "100"} | settings,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared by both launchers: the models are trained and converted once."""
    return tmp_path_factory.mktemp("cache")


@dataclass(frozen=True)
class Ended:
    """A campaign that has run: its launcher, its folder, the folder of its temporary files, how the command ended."""

    launcher: str
    folder: Path
    temporary: Path
    command: subprocess.CompletedProcess[str]


@pytest.fixture(scope="session", params=[pytest.param("docker", marks=pytest.mark.docker), "process"])
def campaign(request: pytest.FixtureRequest, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """The quick suite, run once with each launcher."""
    temporary = tmp_path_factory.mktemp("t")
    folder = tmp_path_factory.mktemp(request.param) / "campaign"
    arguments = ("run", "quick", "--out", str(folder), "--launcher", request.param)
    return Ended(request.param, folder, temporary, portbench(*arguments, cache=cache, TMPDIR=str(temporary)))


def _cases(folder: Path, cache: Path) -> list[dict[str, Any]]:
    ended = portbench("report", str(folder), "--json", cache=cache)
    assert ended.returncode == 0, ended.stderr
    cases: list[dict[str, Any]] = json.loads(ended.stdout)
    return cases


@pytest.mark.timeout(900)
def test_the_quick_suite_measures_every_case_and_every_answer_is_right(campaign: Ended, cache: Path) -> None:
    command = campaign.command
    assert command.returncode == 0, command.stdout + command.stderr
    assert "Traceback" not in command.stderr
    cases = _cases(campaign.folder, cache)
    assert all(list(case)[: len(KEYS)] == KEYS for case in cases)
    measured = {
        (case["source_framework"], case["format"], case["batch_size"]): case
        for case in cases
        if case["batch_size"] is not None
    }
    assert set(measured) == {
        (framework, format_, batch_size)
        for framework, own in (("keras", "keras"), ("pytorch", "pt2"))
        for format_ in (own, "onnx")
        for batch_size in (1, 32)
    }
    for case in measured.values():
        assert case["status"] == "ok"
        assert case["isolation"] == campaign.launcher
        assert case["accuracy"] > 0.95
        assert case["label_agreement"] == 1
        assert case["max_abs_error"] <= 1e-4
        assert 0 < case["median_low_ns"] <= case["median_ns"] <= case["median_high_ns"]
        assert case["threads"] == 1
        assert min(case[key] for key in ("artifact_bytes", "load_ns", "first_ns", "peak_bytes", "samples")) > 0


def test_core_ml_artifacts_have_sizes_and_answers_but_no_times_of_a_machine_that_is_not_here(
    campaign: Ended, cache: Path
) -> None:
    core_ml = [case for case in _cases(campaign.folder, cache) if case["format"] == "coreml"]
    assert {case["source_framework"] for case in core_ml} == {"keras", "pytorch"}
    for case in core_ml:
        assert case["runtime"] == "coreml-reference"
        assert case["artifact_bytes"] > 100_000
        assert case["label_agreement"] == 1
        assert case["median_ns"] is case["peak_bytes"] is None


def test_a_finished_campaign_goes_on_with_nothing_to_do(campaign: Ended, cache: Path) -> None:
    rows = (campaign.folder / "trials.jsonl").read_bytes()
    again = portbench("run", "quick", "--out", str(campaign.folder), "--launcher", campaign.launcher, cache=cache)
    assert again.returncode == 0, again.stderr
    assert (campaign.folder / "trials.jsonl").read_bytes() == rows


def test_a_campaign_tells_what_it_ran_on_and_with(campaign: Ended, cache: Path) -> None:
    told = json.loads(portbench("environment", str(campaign.folder), "--json", cache=cache).stdout)
    assert set(told) == {"build host", "keras-cpu", "pytorch-cpu", "onnxruntime-cpu", "coreml-reference"}
    assert told["build host"]["versions.keras"] == told["keras-cpu"]["versions.keras"]
    assert told["pytorch-cpu"]["versions.mkl"]
    for runner in set(told) - {"build host"}:
        assert told[runner]["isolation"] == campaign.launcher
        assert told[runner]["environment.cpu_model"]
    folder = str(campaign.folder)
    assert json.loads(portbench("environment", folder, folder, "--json", cache=cache).stdout) == []
    assert "cpu_model" in portbench("environment", folder, cache=cache).stdout


def test_nothing_of_a_campaign_outlives_it(campaign: Ended) -> None:
    assert list(campaign.temporary.iterdir()) == []
    assert [process for process in psutil.process_iter() if _belongs_to(process, campaign.temporary)] == []
    if campaign.launcher == "docker":
        with closing(docker.from_env()) as client:
            mounts = [mount["Source"] for found in client.containers.list(all=True) for mount in found.attrs["Mounts"]]
        assert not [mount for mount in mounts if mount.startswith(str(campaign.temporary))]


def _belongs_to(process: psutil.Process, temporary: Path) -> bool:
    """A runner has the folder in its command line, a worker or a converter in its environment."""
    try:
        return any(str(temporary) in word for word in (*process.cmdline(), *process.environ().values()))
    except psutil.Error:
        return False
