"""Devices: never another one than asked for, and what a GPU says of itself, with doubles of the driver and of NVML."""

import ctypes
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

from orchestrator.errors import Stage, Symptom
from runners import trial
from runners.adapters import Array, Arrays, Placement
from runners.failure import Failure, unexpected
from runners.jobs import Plan, Session, StopRule
from runners.measure import cuda, device
from tests.runners import models
from tests.runners.runner import archive, failing
from tests.runners.test_contract import RunnerOf

NO_DRIVER = "there is no NVIDIA driver here: install it"


@pytest.fixture
def _without_driver() -> None:
    if cuda.devices():
        pytest.skip("a CUDA device is here")


@pytest.mark.usefixtures("_without_driver")
@pytest.mark.parametrize(
    ("runtime", "form"),
    [("onnxruntime", "onnx"), ("pytorch", "pt2"), ("pytorch-compile", "pt2"), ("keras", "keras")],
)
def test_asked_for_cuda_without_a_gpu_a_runner_computes_nowhere(runner_of: RunnerOf, runtime: str, form: str) -> None:
    runner = runner_of(runtime)
    session = runner.session(b"never read", form, "cuda:0")
    for ask in (
        lambda: runner.client.measure(runner.request(session, models.inputs(1))),
        lambda: list(runner.client.predict(session, [{"x": models.inputs(1)}], 60)),
    ):
        with failing(Stage.LOAD, Symptom.UNAVAILABLE, f"asked for 'cuda:0': {NO_DRIVER}"):
            ask()


def test_without_tensorrt_its_runner_says_what_to_install(runner_of: RunnerOf) -> None:
    runner = runner_of("onnxruntime-tensorrt")
    request = runner.request(runner.session(models.dense("onnx", Path()), "onnx", "cuda:0"), models.inputs(1))
    with failing(Stage.LOAD, Symptom.UNAVAILABLE, "install TensorRT"):
        runner.client.measure(request)
    with failing(Stage.LOAD, Symptom.UNAVAILABLE, "install TensorRT"):
        runner.client.describe()


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_session_without_the_provider_that_was_asked_for_is_not_loaded(tmp_path: Path) -> None:
    """As where a GPU is there and the provider's libraries are not: ONNX Runtime itself would go on with the CPU."""
    from runners.adapters import onnxruntime

    path = tmp_path / "model"
    path.write_bytes(models.dense("onnx", tmp_path))
    with pytest.raises(Failure, match="asked for CUDAExecutionProvider on cuda:1") as raised:
        onnxruntime.load(path, "cuda:1", 1)
    assert (raised.value.stage, raised.value.symptom) == ("load", "placement")


@pytest.mark.parametrize(
    ("wanted", "counts", "found"),
    [
        ("cpu", {"cpu": 3}, None),
        ("cpu", {"CPUExecutionProvider": 3}, None),
        ("cuda:0", {"CUDAExecutionProvider": 2, "CPUExecutionProvider": 1}, "1 on CPUExecutionProvider"),
        ("cuda:0", {"TensorrtExecutionProvider": 1}, None),
        ("cuda:1", {"cuda:1": 4}, None),
        ("cuda:1", {"cuda:0": 4}, "4 on cuda:0"),
        ("cuda:0", {"cuda:0": 4, "cpu": 1}, "1 on cpu"),
        ("cpu", {"cuda:0": 1}, "1 on cuda:0"),
    ],
)
def test_a_model_that_is_elsewhere_fails_and_says_where(wanted: str, counts: dict[str, int], found: str | None) -> None:
    model: Any = SimpleNamespace(placement=lambda: Placement(counts, "nodes"))
    if found is None:
        assert trial.require_placement(model, wanted).counts == counts
        return
    with pytest.raises(Failure, match=f"asked for '{wanted}', found of its nodes {found}") as raised:
        trial.require_placement(model, wanted)
    assert (raised.value.stage, raised.value.symptom) == ("load", "placement")


class Driver:
    """libcuda with two devices, in another order than NVML's."""

    def __init__(self, status: int = 0) -> None:
        self._status = status

    def cuInit(self, _flags: int) -> int:  # noqa: N802
        return self._status

    def cuDeviceGetCount(self, count: Any) -> int:  # noqa: N802
        count._obj.value = 2
        return 0

    def cuDeviceGet(self, handle: Any, number: int) -> int:  # noqa: N802
        handle._obj.value = number
        return 0 if number < 2 else 101

    def cuDeviceGetPCIBusId(self, bus_id: Any, _size: int, handle: Any) -> int:  # noqa: N802
        bus_id.value = [b"0000:65:00.0", b"0000:17:00.0"][handle.value]
        return 0


class NvmlError(Exception):
    """What the double raises, and what NVML says."""


def _not_supported(*_: object) -> NoReturn:
    raise NvmlError("Not Supported")


RECORDED: dict[str, dict[str, Any]] = {  # of one device each: what an H100 and a device that tells little would say
    "0000:65:00.0": {
        "Name": "NVIDIA H100 80GB HBM3",
        "ClockInfo": {"SM": 1980, "MEM": 2619},
        "Temperature": 41,
        "PowerUsage": 118_432,
        "PerformanceState": 0,
        "CurrentClocksEventReasons": 0x4 | 0x20 | 0x400,
        "MemoryInfo": SimpleNamespace(used=559_939_584),
    },
    "0000:17:00.0": {"Name": "Tesla T4", "MemoryInfo": SimpleNamespace(used=4_194_304)},
}


def _nvml() -> Any:
    def getter(what: str) -> Callable[..., Any]:
        def get(recorded: dict[str, Any], of: str | None = None, version: int | None = None) -> Any:
            value = recorded.get(what)
            return _not_supported() if value is None else value[of] if what == "ClockInfo" else value

        return get

    names = {f"nvmlDeviceGet{what}": getter(what) for what in RECORDED["0000:65:00.0"]}
    return SimpleNamespace(
        **names,
        nvmlInit=lambda: None,
        nvmlShutdown=lambda: None,
        nvmlSystemGetDriverVersion=lambda: "580.95.05",
        nvmlDeviceGetHandleByPciBusId=RECORDED.__getitem__,
        NVMLError=NvmlError,
        nvmlMemory_v2=2,
        NVML_CLOCK_SM="SM",
        NVML_CLOCK_MEM="MEM",
        NVML_TEMPERATURE_GPU="GPU",
    )


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A double of the driver and one of NVML."""
    double = _nvml()
    monkeypatch.setattr(ctypes, "CDLL", lambda _: Driver())
    monkeypatch.setitem(sys.modules, "pynvml", double)
    return double


@pytest.mark.usefixtures("nvml")
def test_a_gpu_tells_its_state_by_the_number_that_the_driver_gives_it() -> None:
    assert device.state("cuda:0") == {
        "name": "NVIDIA H100 80GB HBM3",
        "driver_version": "580.95.05",
        "sm_clock_mhz": 1980,
        "memory_clock_mhz": 2619,
        "temperature_celsius": 41,
        "power_watts": 118.432,
        "performance_state": "P0",
        "throttle_reasons": ["power cap", "software thermal slowdown", "0x400"],
        "memory_used_bytes": 559_939_584,
    }
    assert device.state("cuda:1") == {
        "name": "Tesla T4",
        "driver_version": "580.95.05",
        "memory_used_bytes": 4_194_304,
    }


def test_the_state_says_why_it_could_not_be_read(nvml: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert device.state("cuda:2") == {
        "unread": "the driver shows 2 CUDA devices: name another, or look at CUDA_VISIBLE_DEVICES"
    }
    nvml.nvmlInit = _not_supported
    assert device.state("cuda:0") == {"unread": "Not Supported"}
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert device.state("cuda:0") == {"unread": "install nvidia-ml-py beside the runtime"}
    assert device.state("cpu") == {}


def test_the_device_s_memory_is_the_difference_of_two_states_and_never_negative() -> None:
    before, after = {"memory_used_bytes": 100.0}, {"memory_used_bytes": 350.0}
    assert device.delta_bytes(before, after) == 250
    assert device.delta_bytes(after, before) == 0
    assert device.delta_bytes({}, {"unread": "why"}) == 0


class ModelOnGpu:
    """A model whose runtime says that it is on the GPU."""

    inputs = ()

    def bind(self, inputs: Arrays, _compute_only: bool) -> Callable[[], object]:
        return lambda: inputs

    def fetch(self, result: Any) -> dict[str, Array]:
        return dict(result)

    def placement(self) -> Placement:
        return Placement({"cuda:0": 1}, "tensors")

    def device_peak_bytes(self) -> int:
        return 700

    def threads_in_force(self) -> dict[str, int]:
        return {"intra_op": 1}

    def close(self) -> None:
        pass


@pytest.mark.parametrize("memory", [False, True], ids=["timing", "memory"])
def test_a_trial_reads_the_device_before_and_after_and_its_memory_in_trials_for_memory_only(
    memory: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = SimpleNamespace(
        FORMATS=("onnx",),
        MEASURES=True,
        devices=lambda: ["cuda:0"],
        check=lambda _: None,
        load=lambda *_: ModelOnGpu(),
    )
    states = iter([{"memory_used_bytes": 100.0}, {"memory_used_bytes": 1100.0}])
    monkeypatch.setattr(trial, "import_runtime", lambda _: adapter)
    monkeypatch.setattr(device, "state", lambda _: next(states))
    inputs = tmp_path / "inputs.npz"
    inputs.write_bytes(archive(models.inputs(2)))
    session = Session("double", "no artifact", "onnx", "cuda:0", 1)
    rule = StopRule(1, 0, 0, 1_000_000, 1_000_000)
    result = trial.run(session, Plan(memory, str(inputs), 2, False, 0.0), rule, lambda _: None)
    assert (result["device_before"], result["device_after"]) == (
        {"memory_used_bytes": 100},
        {"memory_used_bytes": 1100},
    )
    assert result["placement"] == {"counts": {"cuda:0": 1}, "unit": "tensors"}
    told = {name: figure for name, figure in result.get("memory", {}).items() if name.startswith("device")}
    assert told == ({"device_peak_bytes": 700, "device_delta_bytes": 1000} if memory else {})


@pytest.mark.usefixtures("nvml")
def test_a_provider_that_was_built_is_no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    from runners.adapters import onnxruntime

    assert onnxruntime.devices() == ["cpu"]
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CUDAExecutionProvider"])
    assert onnxruntime.devices() == ["cpu", "cuda:0", "cuda:1"]
    monkeypatch.setattr(ctypes, "CDLL", lambda _: Driver(status=100))
    assert onnxruntime.devices() == ["cpu"]


@pytest.mark.usefixtures("nvml")
def test_the_remedy_fits_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "install the runtime's build for CUDA" in device.remedy("cuda:1")
    assert "the driver shows 2 CUDA devices" in device.remedy("cuda:7")
    monkeypatch.setattr(ctypes, "CDLL", lambda _: Driver(status=100))
    assert "cuInit: error 100" in device.remedy("cuda:0")


def test_tensorflow_s_words_for_a_device_that_lacks_a_kernel_are_a_failure_of_placement() -> None:
    for words in ("Cannot assign a device for operation gru/Foo", "Could not satisfy device specification '/GPU:0'"):
        assert unexpected("infer", ValueError(words)).symptom == "placement"


def test_an_error_in_the_wake_of_memory_that_ran_out_is_that() -> None:
    """As torch.compile raises it, with these words."""
    error = RuntimeError("Attempt to trace generator")
    error.__context__ = RuntimeError("CUDA out of memory. Tried to allocate 256.00 GiB.")
    failure = unexpected("infer", error)
    assert failure.symptom == "out-of-memory"
    assert failure.message == "RuntimeError: CUDA out of memory. Tried to allocate 256.00 GiB."
