"""The adapter of Core ML, down to the calls into the system: those are doubled off a Mac, see coreml_system."""

import platform
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from orchestrator.errors import Stage, Symptom
from runners import trial
from runners.adapters import Adapter, Model
from runners.failure import Failure
from runners.jobs import Plan, Session, StopRule
from tests.runners import coreml_system, models
from tests.runners.runner import Runner, archive, failing, running
from tests.runners.test_coreml_reference import convert_torch, lenet_torch

UNITS = {"cpu_only": "CPU_ONLY", "cpu_and_gpu": "CPU_AND_GPU", "cpu_and_ne": "CPU_AND_NE", "all": "ALL"}
QUICK = StopRule(min_samples=5, min_time_ns=0, min_undisturbed_samples=0, max_time_ns=10**8, max_warmup_ns=10**7)


@pytest.fixture
def system() -> coreml_system.System:
    """A Mac with every kind of processor, which prefers its CPU."""
    return coreml_system.System()


@pytest.fixture
def coreml(system: coreml_system.System) -> Iterator[Adapter]:
    """The adapter on it."""
    with coreml_system.installed(system) as adapter:
        yield adapter


def packed(folder: Path, batch: int | tuple[int, ...] | None = None) -> Path:
    """The dense model; `batch` fixes its batch size or gives several to choose from."""
    artifact = folder / "artifact"
    artifact.write_bytes(models.dense("coreml", folder, batch))
    return artifact


def check_answers(model: Model, samples: int) -> None:
    """To that many samples."""
    given = models.inputs(samples)
    (output,) = model.fetch(model.bind({"x": given}, compute_only=False)()).values()
    np.testing.assert_allclose(output, models.answers(given), atol=1e-5)


@pytest.mark.parametrize("device", UNITS)
def test_compiles_once_and_loads_for_the_device_s_compute_units(
    device: str, coreml: Adapter, system: coreml_system.System, tmp_path: Path
) -> None:
    model = coreml.load(packed(tmp_path), device, 1)
    assert model.inputs == [("x", "float32", (None, models.FEATURES))]
    check_answers(model, 7)
    model.placement()
    (compiled,) = {path for name, path, *_ in system.calls if name in ("load", "plan")}
    assert [(name, *rest[1:]) for name, *rest in system.calls] == [
        ("compile",),
        ("load", UNITS[device]),
        ("predict",),
        ("plan", UNITS[device]),
    ]
    assert Path(compiled).exists()
    model.close()
    assert not Path(compiled).parent.exists()


def test_what_a_package_does_not_take_at_once_is_one_batch_prediction(
    coreml: Adapter, system: coreml_system.System, tmp_path: Path
) -> None:
    model = coreml.load(packed(tmp_path, (1, 4)), "all", 1)
    check_answers(model, 4)
    check_answers(model, 6)
    assert system.calls[2:] == [
        ("predict", {"x": (4, 4)}),
        ("batchPredict", {"x": (4, 4)}, {"x": (1, 4)}, {"x": (1, 4)}),
    ]


def test_a_trial_tells_the_cold_load_the_cached_load_and_where_operations_run(
    system: coreml_system.System, coreml: Adapter, tmp_path: Path
) -> None:
    system.prefers = {"linear": "neural-engine", "relu": "gpu", "matmul": "neural-engine", "add": "gpu"}.get
    (tmp_path / "inputs").write_bytes(archive(models.inputs(2)))
    results = {}
    for memory in (False, True):
        session = Session("coreml", str(packed(tmp_path)), "coreml", "all", 1)
        plan = Plan(memory, str(tmp_path / "inputs"), 2, False, 0.0)
        system.calls.clear()
        results[memory] = trial.run(session, plan, QUICK, lambda _: None)
        assert system.names().count("compile") == 1
        assert system.names().count("load") == (1 if memory else 2)
    phases = results[False]["phases"]
    assert min(phases["load_ns"], phases["cached_load_ns"]) > 0
    assert results[False]["placement"]["unit"] == "operations"
    assert set(results[False]["placement"]["counts"]) == {"neural-engine", "gpu"}
    assert [phase["phase"] for phase in results[True]["memory"]["phases"]][-1] == "steady"


@pytest.mark.parametrize(("device", "found"), [("cpu_only", "gpu"), ("cpu_and_gpu", "neural-engine")])
def test_an_operation_elsewhere_than_asked_for_is_a_failure(
    device: str, found: str, coreml: Adapter, system: coreml_system.System, tmp_path: Path
) -> None:
    model = coreml.load(packed(tmp_path), device, 1)
    system.prefers = lambda operator: None if operator == "relu" else "cpu"
    assert trial.require_placement(model, device).counts.keys() == {"cpu", "undetermined"}
    system.prefers = lambda operator: found if operator == "relu" else "cpu"
    with pytest.raises(Failure, match=f"asked for '{device}', found of its operations . on {found}") as caught:
        trial.require_placement(model, device)
    assert (caught.value.stage, caught.value.symptom) == ("load", "placement")


@pytest.mark.parametrize(
    ("available", "devices"),
    [
        (("cpu",), ["cpu_only", "all"]),
        (("cpu", "gpu"), ["cpu_only", "cpu_and_gpu", "all"]),
        (("cpu", "gpu", "neural-engine"), list(UNITS)),
    ],
)
def test_offers_the_devices_that_are_there(
    available: tuple[str, ...], devices: list[str], coreml: Adapter, system: coreml_system.System
) -> None:
    system.available = available
    assert coreml.devices() == devices
    assert coreml.versions()["macos"] == "15.1"


def test_what_the_compiler_refuses_is_one_line_with_its_words(
    coreml: Adapter, system: coreml_system.System, tmp_path: Path
) -> None:
    system.refuses = "Failed to parse the model specification.\nUnknown opset 'CoreML8'"
    with pytest.raises(Failure, match=r"specification\. Unknown opset 'CoreML8'") as caught:
        coreml.load(packed(tmp_path), "all", 1)
    assert (caught.value.stage, caught.value.symptom) == ("load", "refused")


def test_copies_stay_inside_a_prediction_beyond_the_cpu(coreml: Adapter, tmp_path: Path) -> None:
    given = {"x": models.inputs(1)}
    assert coreml.load(packed(tmp_path), "cpu_only", 1).bind(given, compute_only=True)()
    with pytest.raises(Failure, match="measure it end to end"):
        coreml.load(packed(tmp_path), "all", 1).bind(given, compute_only=True)


def test_an_older_macos_is_unavailable(system: coreml_system.System) -> None:
    with pytest.raises(Failure, match=r"from macOS 14\.4 on, this is 14\.3\.1") as caught:
        coreml_system.installed(system, "14.3.1").__enter__()
    assert (caught.value.stage, caught.value.symptom) == ("load", "unavailable")


@pytest.mark.skipif(platform.system() != "Darwin", reason="Core ML runs on macOS only")
@pytest.mark.parametrize(("precision", "largest_error"), [("float32", 1e-3), ("float16", 2e-2)])
def test_on_a_mac_every_device_agrees_with_the_reference(
    precision: str, largest_error: float, runner_of: Callable[[str], Runner], tmp_path: Path
) -> None:
    torch.manual_seed(1)
    images = torch.rand(8, 1, 28, 28)
    artifact = convert_torch(lenet_torch(), images[:2], precision, tmp_path / "model.zip").read_bytes()

    def answers(runtime: str, device: str) -> NDArray[Any]:
        runner = runner_of(runtime)
        session = runner.session(artifact, "coreml", device)
        (reply,) = runner.client.predict(session, [{"input": images.numpy()}], 60)
        (output,) = reply.values()
        return output

    expected = answers("coreml-reference", "cpu")
    for device in runner_of("coreml").client.describe().devices:
        np.testing.assert_allclose(answers("coreml", device), expected, atol=largest_error, err_msg=device)


@pytest.mark.skipif(platform.system() == "Darwin", reason="here it is available")
def test_elsewhere_a_real_runner_says_that_it_needs_a_mac() -> None:
    with running("coreml") as runner:
        with failing(Stage.LOAD, Symptom.UNAVAILABLE, "Core ML runs on macOS only"):
            runner.client.describe()
        session = runner.session(b"never read", "coreml", "cpu_only")
        with failing(Stage.LOAD, Symptom.UNAVAILABLE, "Core ML runs on macOS only"):
            runner.client.measure(runner.request(session, models.inputs(1)))
