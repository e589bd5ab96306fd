"""What only a GPU can show, for each engine that this interpreter has; `make gpu-check` keeps the figures."""

from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest
from google.protobuf.json_format import MessageToDict

from orchestrator.errors import Stage, Symptom
from runner_api.v1 import runner_pb2 as api
from runners.measure import cuda
from tests.runners import models
from tests.runners.runner import failing
from tests.runners.test_contract import GPU, RunnerOf, Subject, subject_of

pytestmark = pytest.mark.gpu

SIZE = 4096
WEIGHTS = np.random.default_rng(1).normal(size=(SIZE, SIZE)).astype(np.float32) / SIZE
INPUTS = np.random.default_rng(2).normal(size=(SIZE, SIZE)).astype(np.float32)
FASTEST_NS = 2 * SIZE**3 / 1e15 * 1e9
"""No device computes 10^15 operations a second in float32; a kernel is only started in a tenth of this."""

Record = Callable[[str, object], None]


@pytest.fixture(params=GPU)
def subject(request: pytest.FixtureRequest, runner_of: RunnerOf, tmp_path: Path) -> Subject:
    """Each engine in turn."""
    return subject_of(request.param, runner_of, tmp_path)


def big(subject: Subject) -> api.MeasureRequest:
    """A trial of a matrix product that takes a GPU about a millisecond."""
    session = subject.session(weights=WEIGHTS, bias=np.zeros(SIZE, np.float32))
    return subject.runner.request(session, INPUTS, timeout_s=300)


def test_a_sample_ends_when_the_result_is_there_with_and_without_copies(
    subject: Subject, record_property: Record
) -> None:
    request = big(subject)
    record_property("versions", dict(subject.runner.client.describe().versions))
    for name, request.compute_only in (("end_to_end", False), ("compute_only", True)):
        result = subject.runner.client.measure(request)
        samples = result.timing.samples_ns
        record_property(f"{name}_median_ns", median(samples))
        record_property(f"{name}_median_by_quarter_ns", [float(median(part)) for part in np.array_split(samples, 4)])
        record_property(f"{name}_load_ns", result.phases.load_ns)
        record_property(f"{name}_first_ns", result.phases.first_ns)
        assert min(samples) > FASTEST_NS
        assert set(result.placement.counts) == {subject.engine.holder}


def test_a_product_of_float32_is_not_rounded_to_fewer_bits(subject: Subject, record_property: Record) -> None:
    (answer,) = subject.predict(subject.session(weights=WEIGHTS, bias=np.zeros(SIZE, np.float32)), INPUTS[:64])
    right = np.maximum(INPUTS[:64].astype(np.float64) @ WEIGHTS.astype(np.float64), 0)
    error = float(np.abs(answer - right).max() / right.max())
    record_property("relative_error", error)
    assert error < 1e-5  # with 10 bits of mantissa it is about 1e-3


def test_a_convolution_of_float32_is_not_rounded_to_fewer_bits(subject: Subject, record_property: Record) -> None:
    """Another library, cuDNN, which has a switch of its own."""
    images = np.random.default_rng(3).normal(size=(8, 64, 32, 32)).astype(np.float32)
    weights = np.random.default_rng(4).normal(size=(64, 64, 3, 3)).astype(np.float32)
    session = subject.session_of(models.convolution(subject.form, subject.folder, weights))
    (answer,) = subject.predict(session, images)
    right = models.convolved(images, weights)
    error = float(np.abs(answer - right).max() / right.max())
    record_property("relative_error", error)
    assert error < 2e-5  # with 10 bits of mantissa it is 3e-4


def test_tells_the_device_s_memory_and_state(subject: Subject, record_property: Record) -> None:
    request = big(subject)
    request.kind = api.TRIAL_KIND_MEMORY
    result = subject.runner.client.measure(request)
    before, after = (_as_dict(state) for state in (result.device_before, result.device_after))
    record_property("device_before", before)
    record_property("device_after", after)
    record_property("device_peak_bytes", result.memory.device_peak_bytes)
    record_property("device_delta_bytes", result.memory.device_delta_bytes)
    told = {"name", "driver_version", "sm_clock_mhz", "memory_clock_mhz", "temperature_celsius", "memory_used_bytes"}
    assert told <= set(before) & set(after), before
    assert result.memory.device_delta_bytes >= WEIGHTS.nbytes
    if subject.engine.form == "onnx":  # ONNX Runtime does not tell
        assert result.memory.device_peak_bytes == 0
    else:
        assert WEIGHTS.nbytes <= result.memory.device_peak_bytes


def test_a_device_that_is_not_there_is_not_replaced(subject: Subject) -> None:
    missing = f"cuda:{len(cuda.devices())}"
    session = subject.runner.session(models.dense(subject.form, subject.folder), subject.form, missing)
    with failing(Stage.LOAD, Symptom.UNAVAILABLE, f"asked for '{missing}': the driver shows"):
        subject.runner.client.measure(subject.runner.request(session, models.inputs(1)))


def test_a_batch_that_the_device_has_no_memory_for_is_told_and_the_next_one_is_measured(
    subject: Subject, record_property: Record
) -> None:
    """256 GiB of answers, from 16 MiB of inputs."""
    session = subject.session(
        weights=np.ones((models.FEATURES, 1 << 16), np.float32), bias=np.zeros(1 << 16, np.float32)
    )
    with failing(Stage.INFER, Symptom.OUT_OF_MEMORY) as raised:
        subject.runner.client.measure(subject.runner.request(session, models.inputs(1 << 20), timeout_s=300))
    record_property("message", raised.value.message)
    assert subject.measure(session, models.inputs(1)).timing.samples_ns


def _as_dict(state: Any) -> dict[str, Any]:
    told: dict[str, Any] = MessageToDict(state)
    return told
