"""The runners for GPUs among the others: in the table, in a plan, in a summary, and what their images would hold."""

import re
from pathlib import Path

import pytest

from orchestrator.errors import UsageError
from orchestrator.inventory import Host, Inventory, RunnerEntry, load_inventory
from orchestrator.launch import images
from orchestrator.plan import make_plan
from orchestrator.report.plan import as_objects
from orchestrator.runtimes import RUNNERS, RUNTIMES
from orchestrator.suite import Suite, load_suite
from runners.adapters import runtimes

ON_GPUS = [kind for kind in RUNNERS.values() if kind.needs_gpu]
FRAMEWORKS = {"coremltools", "onnxruntime", "onnxruntime-gpu", "tensorflow", "tensorflow-cpu", "torch"}


def _suite(**changes: object) -> Suite:
    return Suite.model_validate(load_suite("quick").model_dump() | changes)


def _inventory(*runners: str) -> Inventory:
    return Inventory(hosts=(Host(name="gpu-box", runners=tuple(RunnerEntry(name=name) for name in runners)),))


def test_every_runtime_of_the_table_has_an_adapter_but_core_ml_which_runs_on_macos() -> None:
    assert set(RUNTIMES) - set(runtimes()) <= {"coreml"}
    assert {kind.name for kind in ON_GPUS} == {
        "onnxruntime-cuda",
        "onnxruntime-tensorrt",
        "keras-cuda",
        "pytorch-cuda",
        "pytorch-compile",
    }


def test_without_an_inventory_nothing_asks_this_machine_for_a_gpu() -> None:
    (host,) = load_inventory(None, RUNTIMES).hosts
    assert not [entry.name for entry in host.entries() if entry.kind.needs_gpu]
    with pytest.raises(UsageError, match="no runner of pytorch-compile can live on this machine; name a host"):
        load_inventory(None, ("pytorch-compile",))


def test_a_suite_measures_a_runtime_on_the_devices_of_the_runners_that_are_named() -> None:
    suite = _suite(runtimes=["onnxruntime"], batch_sizes=[1])
    plan = make_plan(suite, _inventory("onnxruntime-cuda", "onnxruntime-cpu", "onnxruntime-tensorrt"))
    assert {(case.runner, case.device) for case in plan.cases} == {
        ("onnxruntime-cuda", "cuda:0"),
        ("onnxruntime-cpu", "cpu"),
    }
    assert {(check.runner, check.device) for check in plan.checks} == {
        ("onnxruntime-cuda", "cuda:0"),
        ("onnxruntime-cpu", "cpu"),
    }
    assert {planned["device"] for planned in as_objects(plan, suite)} == {"cpu", "cuda:0"}


def test_the_engines_of_one_framework_are_cases_of_their_own() -> None:
    suite = _suite(runtimes=["pytorch", "pytorch-compile", "onnxruntime-tensorrt"], batch_sizes=[1])
    plan = make_plan(suite, _inventory("pytorch-cuda", "pytorch-compile", "onnxruntime-tensorrt"))
    assert {(case.artifact.format, case.runtime, case.device) for case in plan.cases} == {
        ("pt2", "pytorch", "cuda:0"),
        ("pt2", "pytorch-compile", "cuda:0"),
        ("onnx", "onnxruntime-tensorrt", "cuda:0"),
    }


@pytest.mark.parametrize("image", sorted({kind.image for kind in ON_GPUS}))
def test_an_image_for_gpus_is_built_on_demand_and_locks_one_framework_for_cuda(image: str, tmp_path: Path) -> None:
    assert image in images.names()
    assert image not in images.common()
    locked = (images.REQUIREMENTS / f"{image}.txt").read_text()
    names = set(re.findall(r"^([\w.-]+)==", locked, re.MULTILINE))
    assert len(names & FRAMEWORKS) == 1
    assert not names & {"onnxruntime", "tensorflow-cpu", "coremltools"}
    assert {"nvidia-ml-py", "grpcio"} <= names
    assert any(name.startswith("nvidia-cudnn") for name in names)


def test_a_local_build_for_the_cpu_does_not_pass_for_the_one_for_cuda(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torch-2.13.0+cpu-cp311-cp311-linux_x86_64.whl").touch()
    monkeypatch.setenv("PORTBENCH_WHEELS", str(tmp_path))
    assert images._wheels(images.REQUIREMENTS / "pytorch.txt")
    assert not images._wheels(images.REQUIREMENTS / "pytorch-cuda.txt")
