"""`portbench doctor` on this machine, and each thing that it is asked about broken in turn."""

import json
import os
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from orchestrator.certificates import Authority
from orchestrator.doctor import certificates, engine, gpu, noise, packages, processor, room
from orchestrator.doctor.checks import CHECKS, Check, make
from orchestrator.doctor.finding import Status
from orchestrator.doctor.machine import Machine
from orchestrator.launch import images
from tests.results.rows import trial

SCHEMA = {
    "type": "object",
    "required": ["ok", "checks"],
    "additionalProperties": False,
    "properties": {
        "ok": {"type": "boolean"},
        "checks": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name", "status", "found", "remedy"],
                "additionalProperties": False,
                "properties": {
                    "name": {"type": "string"},
                    "status": {"enum": ["ok", "warning", "problem", "not here"]},
                    "found": {"type": "string", "minLength": 1},
                    "remedy": {"type": ["string", "null"]},
                },
            },
        },
    },
}
Usage = namedtuple("Usage", "total used free")


class Told(Machine):
    """A machine that says of itself what it is told to."""

    def __init__(self, **facts: object) -> None:
        super().__init__()
        self.__dict__["facts"] = facts  # where a cached property keeps what it found


def doctor(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    ours = {name: value for name, value in os.environ.items() if name != "PORTBENCH_REQUIRE_DOCKER"}
    return subprocess.run(
        [str(Path(sys.executable).with_name("portbench")), "doctor", *arguments],
        env=ours | settings,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_every_check_is_made_without_an_engine_and_without_certificates(tmp_path: Path) -> None:
    nowhere = f"unix://{tmp_path}/docker.sock"
    settings = {"DOCKER_HOST": nowhere, "PORTBENCH_AUTHORITY": str(tmp_path), "PORTBENCH_CACHE": str(tmp_path)}
    ended = doctor("--json", **settings)
    told = json.loads(ended.stdout)
    jsonschema.validate(told, SCHEMA)
    assert ended.returncode == (0 if told["ok"] else 1), ended.stderr
    checks = {check["name"]: check for check in told["checks"]}
    assert list(checks) == [check.name for check in CHECKS]
    assert checks["engine"]["status"] == "warning"
    assert nowhere in checks["engine"]["found"]
    assert "plain processes" in checks["engine"]["remedy"]
    assert {checks[name]["status"] for name in ("builder", "images", "certificates")} == {"not here"}
    assert "blocks were disturbed" in checks["noise"]["found"]
    assert all(check["remedy"] for check in told["checks"] if check["status"] in ("warning", "problem"))


@pytest.mark.docker
def test_the_engine_tells_what_it_is_and_has() -> None:
    with Machine() as machine:
        found = {check.name: make(check, machine) for check in CHECKS if check.function.startswith("engine:")}
    assert found["engine"].found.startswith("Docker ")
    assert found["engine"].status is Status.OK
    assert "could not" not in " ".join(finding.found for finding in found.values())
    assert {"built", "stale", "missing"} & set(found["images"].found.replace(":", "").split())


@pytest.mark.docker
def test_a_look_at_the_images_fetches_no_base(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTBENCH_BASE_IMAGE", "nowhere.invalid/base:none")
    monkeypatch.setattr(images, "_exists", lambda reference: reference.endswith(":latest"))
    with Machine() as machine:
        finding = engine.images(machine)
    assert finding.status is Status.WARNING
    assert "nowhere.invalid/base:none" in finding.found


def test_a_problem_ends_with_exit_code_1_and_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    inventory = tmp_path / "inventory.yaml"
    inventory.write_text('hosts: [{name: far, runners: [{name: "null", address: "unix:/nowhere.sock"}]}]')
    settings = {"PORTBENCH_CACHE": str(tmp_path / "file"), "DOCKER_HOST": "unix:///nowhere", "COLUMNS": "200"}
    ended = doctor("--runners", str(inventory), **settings)
    assert ended.returncode == 1, ended.stderr
    assert "problem   far/null" in ended.stdout
    assert "problem   cache" in ended.stdout
    assert "set PORTBENCH_CACHE to a folder that can be written" in " ".join(ended.stdout.split())


def test_a_check_that_raises_is_a_finding() -> None:
    with Machine() as machine:
        finding = make(Check("broken", "gpu:driver"), Told(gpus={"0": "no comma"}))
        missing = make(Check("missing", "nothing:there"), machine)
    assert finding.status is Status.WARNING
    assert finding.found.startswith("could not be looked at")
    assert missing.status is Status.PROBLEM
    assert missing.remedy == "make setup"


def test_certificates_that_end_soon_and_keys_that_others_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTBENCH_AUTHORITY", str(tmp_path))
    authority = Authority.create(tmp_path)
    authority.issue(["orchestrator"])
    with Machine() as machine:
        assert certificates.validity(machine).status is Status.OK
        assert certificates.keys(machine).status is Status.OK
        authority.issue(["runner.example"], days=5)
        key = tmp_path / "runner.example" / "tls.key"
        key.chmod(0o644)
        finding, readable = certificates.validity(machine), certificates.keys(machine)
    assert finding.status is Status.WARNING
    assert finding.found.startswith("that of runner.example expires on ")
    assert finding.remedy == "portbench certs issue runner.example"
    assert f"chmod 600 {key}" in readable.remedy


@pytest.mark.parametrize(
    ("free", "status"), [(1 << 20, Status.PROBLEM), (2 << 30, Status.WARNING), (9 << 30, Status.OK)]
)
def test_a_disk_without_room(free: int, status: Status, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: Usage(1 << 40, 0, free))
    assert room.room("TMPDIR", tmp_path).status is status


def test_the_processor() -> None:
    assert "cpupower" in processor.governor(Told(governor="powersave")).remedy
    assert processor.governor(Told(governor="performance")).status is Status.OK
    assert processor.governor(Told()).status is Status.NOT_HERE
    assert processor.turbo(Told(turbo=True)).status is Status.WARNING
    alone = processor.cores(Told(cpu_model="x", cpus=4.0, affinity_cpus=4.0, cpu_quota=1.0))
    assert alone.status is Status.WARNING
    assert "1 of 4" in alone.found


@pytest.mark.parametrize(("driver", "status"), [("570.86", Status.WARNING), ("580.65.06", Status.OK)])
def test_a_driver_too_old_for_cuda(driver: str, status: Status) -> None:
    assert gpu.driver(Told(gpus={"0": f"NVIDIA H100, {driver}, 1980 MHz, 345 MHz"})).status is status


def test_versions_that_do_not_go_together(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"coremltools": "9.0", "numpy": "2.4.1", "onnxruntime": "1.32.0", "onnxruntime-gpu": "1.32.0"}
    monkeypatch.setattr(packages, "version", versions.__getitem__)
    monkeypatch.setattr(packages, "PackageNotFoundError", KeyError)
    with Machine() as machine:
        finding = packages.conflicts(machine)
    assert finding.status is Status.PROBLEM
    assert finding.found == "coremltools<=9.0 with numpy>=2.4; onnxruntime with onnxruntime-gpu"


@pytest.mark.parametrize(
    ("quiet_every", "status", "words"),
    [(1, Status.OK, "'undisturbed'"), (2, Status.WARNING, "'adjusted'"), (500, Status.WARNING, "'unstable'")],
)
def test_noise_in_the_words_of_a_report(quiet_every: int, status: Status, words: str) -> None:
    undisturbed = np.arange(6000) % quiet_every == 0
    samples = trial(np.ones(6000), [1] * 6000, undisturbed.tolist())
    finding = noise.evaluate(samples)
    assert finding.status is status
    assert words in finding.found
