"""What every adapter must do, asked through the contract of real runners with real tiny models."""

import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from orchestrator.errors import CaseFailure, Stage, Symptom
from orchestrator.runtimes import RUNNERS
from runner_api.v1 import runner_pb2 as api
from runner_api.v1 import wire
from tests.requirements import distributions
from tests.runners import models
from tests.runners.runner import Runner, archive, failing

RunnerOf = Callable[[str], Runner]


class Engine(NamedTuple):
    """A runtime on one of its devices: its format, a library of it, and what a graph's parts are held by."""

    runtime: str
    form: str
    library: str
    device: str
    holder: str


ON_A_MAC = pytest.mark.skipif(platform.system() != "Darwin", reason="Core ML runs on macOS only")
HOLDERS = {"onnxruntime": "CPUExecutionProvider"}
"""Where that is not the device itself."""
CPU = [
    pytest.param(
        Engine(kind.runtime, kind.formats[0], distributions(kind.image)[0], "cpu", HOLDERS.get(kind.runtime, "cpu")),
        id=kind.runtime,
    )
    for kind in RUNNERS.values()
    if "cpu" in kind.devices and kind.measures and kind.answers
]
MAC = [pytest.param(Engine("coreml", "coreml", "coremltools", "cpu_only", "cpu"), id="coreml", marks=ON_A_MAC)]
GPU = [
    pytest.param(engine, marks=pytest.mark.gpu, id=f"{engine.runtime}-cuda")
    for engine in (
        Engine("onnxruntime", "onnx", "onnxruntime", "cuda:0", "CUDAExecutionProvider"),
        Engine("onnxruntime-tensorrt", "onnx", "tensorrt", "cuda:0", "TensorrtExecutionProvider"),
        Engine("pytorch", "pt2", "torch", "cuda:0", "cuda:0"),
        Engine("pytorch-compile", "pt2", "triton", "cuda:0", "cuda:0"),
        Engine("keras", "keras", "tensorflow", "cuda:0", "cuda:0"),
    )
]


@dataclass(frozen=True)
class Subject:
    """An engine under test."""

    engine: Engine
    runner: Runner
    folder: Path

    @property
    def form(self) -> str:
        return self.engine.form

    def session(self, **details: Any) -> api.Session:
        """Of the dense model; see models.dense."""
        return self.session_of(models.dense(self.form, self.folder, **details))

    def session_of(self, artifact: bytes) -> api.Session:
        """Of any artifact."""
        return self.runner.session(artifact, self.form, self.engine.device)

    def measure(self, session: api.Session, samples: NDArray[Any]) -> api.TrialResult:
        """A timing trial."""
        return self.runner.client.measure(self.runner.request(session, samples))

    def predict(self, session: api.Session, *batches: NDArray[Any]) -> list[NDArray[Any]]:
        """The only output for each batch of the only input, whatever it is called."""
        replies = self.runner.client.predict(session, ({"any name": batch} for batch in batches), 60)
        return [answer for reply in replies for answer in reply.values()]


def subject_of(engine: Engine, runner_of: RunnerOf, folder: Path) -> Subject:
    """The engine, unless it is one for GPUs that this interpreter does not have: then the test is skipped."""
    runner = runner_of(engine.runtime)
    if engine.device.startswith("cuda:"):
        try:
            devices = runner.client.describe().devices
        except CaseFailure as failure:
            pytest.skip(failure.message)
        if engine.device not in devices:
            pytest.skip(f"{engine.runtime} has {', '.join(devices)} here, this is no build of it for CUDA")
    return Subject(engine, runner, folder)


@pytest.fixture(params=[*CPU, *MAC, *GPU])
def subject(request: pytest.FixtureRequest, runner_of: RunnerOf, tmp_path: Path) -> Subject:
    """Each engine in turn."""
    return subject_of(request.param, runner_of, tmp_path)


def test_describes_itself(subject: Subject) -> None:
    described = subject.runner.client.describe()
    assert described.runtime == subject.engine.runtime
    assert described.formats == [subject.form]
    assert subject.engine.device in described.devices
    assert {subject.engine.library, "numpy", "python", "reference"} <= set(described.versions)
    assert {"scipy-openblas", "accelerate"} & set(described.versions)  # NumPy's linear algebra, by platform
    assert described.available_cpus >= 1
    assert described.host_fingerprint
    assert described.environment["cpu_model"]


def test_answers_batches_of_any_size_in_order(subject: Subject) -> None:
    batches = [models.inputs(size) for size in (1, 7, 3, 1, 200_000)]  # the last one is cut into chunks, both ways
    answers = subject.predict(subject.session(), *batches)
    for answer, batch in zip(answers, batches, strict=True):
        assert answer.dtype == np.float32
        np.testing.assert_allclose(answer, models.answers(batch), atol=1e-5)


def test_stored_inputs_are_answered_like_sent_ones(subject: Subject) -> None:
    samples = models.inputs(7)
    put = subject.runner.put(archive(samples))
    questions: list[wire.Tensors | api.StoredInputs] = [
        api.StoredInputs(inputs_sha256=put, batch_size=3),
        {"any name": samples[:2]},
        api.StoredInputs(inputs_sha256=put, batch_size=2, samples=5),
        api.StoredInputs(inputs_sha256=put, batch_size=100),
    ]
    replies = [next(iter(reply.values())) for reply in subject.runner.client.predict(subject.session(), questions, 60)]
    assert [len(reply) for reply in replies] == [3, 3, 1, 2, 2, 2, 1, 7]
    whole, sent, first, at_once = np.split(np.concatenate(replies), [7, 9, 14])
    for answers, asked in ((whole, samples), (sent, samples[:2]), (first, samples[:5]), (at_once, samples)):
        np.testing.assert_allclose(answers, models.answers(asked), atol=1e-5)


def test_times_an_inference(subject: Subject) -> None:
    result = subject.measure(subject.session(), models.inputs(8))
    timing, phases = result.timing, result.phases
    assert min(timing.samples_ns) > 0
    assert sum(timing.block_samples) == len(timing.samples_ns) >= 20
    assert len(timing.references_ns) == len(timing.block_samples) + 1
    assert sum(timing.samples_ns) <= timing.wall_time_ns
    assert (timing.stopped_by, list(timing.unmet), timing.gc_enabled) == ("enough", [], False)
    assert min(phases.import_ns, phases.load_ns, phases.first_ns, phases.warmup_ns, phases.warmup_samples) > 0
    assert not result.HasField("memory")
    assert result.threads_in_force["intra_op"] == 1 or subject.engine.runtime == "coreml"  # which tells none
    assert set(result.placement.counts) == {subject.engine.holder}
    assert sum(result.placement.counts.values()) > 0


def test_measures_more_samples_than_there_are_without_copies(subject: Subject) -> None:
    request = subject.runner.request(subject.session(), models.inputs(3))
    request.batch_size = 8
    request.compute_only = True
    assert len(subject.runner.client.measure(request).timing.samples_ns) >= 20


def test_keeps_the_peak_of_each_phase(subject: Subject) -> None:
    request = subject.runner.request(subject.session(), models.inputs(4))
    request.kind = api.TRIAL_KIND_MEMORY
    result = subject.runner.client.measure(request)
    phases = {phase.phase: phase for phase in result.memory.phases}
    assert list(phases) == ["start", "import", "load", "first", "warmup", "steady"]
    if platform.system() == "Linux":
        assert all(phase.peak_bytes >= phase.rss_bytes > phase.rss_anon_bytes > 0 for phase in phases.values())
        assert result.memory.peak_source == "VmHWM"
    else:  # a footprint leaves out what can be read from its file again, so it may be below the resident size
        assert all(min(phase.peak_bytes, phase.rss_bytes) > 0 for phase in phases.values())
        assert result.memory.peak_source == "phys_footprint_peak"
    assert phases["import"].rss_bytes > phases["start"].rss_bytes
    assert result.memory.timeline
    assert not result.HasField("timing")


def test_a_model_that_answers_no_numbers_is_a_wrong_output(subject: Subject) -> None:
    """Infinity, because TensorFlow's relu of NaN is 0 on some processors."""
    session = subject.session(bias=np.array([0, np.inf, 0], np.float32))
    with failing(Stage.INFER, Symptom.WRONG_OUTPUT, "2 of 6 values"):
        subject.measure(session, models.inputs(2))


def test_a_corrupt_artifact_is_refused(subject: Subject) -> None:
    artifact = models.dense(subject.form, subject.folder)
    with failing(Stage.LOAD, Symptom.REFUSED):
        subject.measure(subject.session_of(artifact[: len(artifact) // 2]), models.inputs(2))
    with failing(Stage.LOAD, Symptom.REFUSED):
        subject.predict(subject.session_of(b"no artifact"))


def test_an_artifact_that_leads_out_of_itself_is_refused(subject: Subject) -> None:
    """To another file of the store or, from an archive, to one beside its folder."""
    elsewhere = subject.runner.put(b"another artifact")
    artifact, words = models.leading_out(subject.form, models.dense(subject.form, subject.folder), elsewhere)
    with failing(Stage.LOAD, Symptom.REFUSED, words):
        subject.predict(subject.session_of(artifact), models.inputs(1))


def test_inputs_that_do_not_fit_are_refused(subject: Subject) -> None:
    session = subject.session()
    with failing(Stage.INFER, Symptom.REFUSED, "given is float32 (2, 5)"):
        subject.measure(session, np.zeros((2, 5), np.float32))
    with failing(Stage.INFER, Symptom.REFUSED, "given is float64 (2, 4)"):
        subject.predict(session, models.inputs(1), np.zeros((2, 4), np.float64))


def test_a_fixed_batch_that_does_not_fit_is_refused(subject: Subject) -> None:
    with failing(Stage.INFER, Symptom.REFUSED, "(2, 4)"):  # nor can 3 be cut into batches of 2
        subject.measure(subject.session(batch=2), models.inputs(3))


def test_another_format_or_device_is_not_tried(runner_of: RunnerOf) -> None:
    runner = runner_of("onnxruntime")
    for form, device, symptom in (("pt2", "cpu", Symptom.REFUSED), ("onnx", "cuda:9", Symptom.UNAVAILABLE)):
        request = runner.request(runner.session(b"never read", form, device), models.inputs(1))
        with failing(Stage.LOAD, symptom, f"asked for '{device if form == 'onnx' else form}'"):
            runner.client.measure(request)


def test_the_null_runtime_takes_anything(runner_of: RunnerOf) -> None:
    runner, samples = runner_of("null"), models.inputs(3)
    assert not runner.client.describe().formats
    for form in RUNNERS["null"].formats:
        (answer,) = runner.client.predict(runner.session(b"no model", form), [{"input": samples}], 60)
        np.testing.assert_array_equal(answer["output_0"], samples)
    timing = runner.client.measure(runner.request(runner.session(b"no model", form), samples)).timing
    assert len(timing.samples_ns) > 100 * len(timing.block_samples)


def test_an_unknown_operator_is_named(runner_of: RunnerOf) -> None:
    runner = runner_of("onnxruntime")
    request = runner.request(runner.session(models.unknown_operator_onnx(), "onnx"), models.inputs(1))
    with failing(Stage.LOAD, Symptom.UNSUPPORTED_OPERATOR, "Frobnicate"):
        runner.client.measure(request)


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs g++")
def test_torch_compile_answers_like_the_model_itself(runner_of: RunnerOf, tmp_path: Path) -> None:
    """On the CPU, where a compiler is all that it needs."""
    runner, samples = runner_of("pytorch-compile"), models.inputs(8)
    session = runner.session(models.dense("pt2", tmp_path), "pt2")
    (answer,) = runner.client.predict(session, [{"any name": samples}], 300)
    np.testing.assert_allclose(answer["output_0"], models.answers(samples), atol=1e-5)
