"""The runner as a process: its life, its store, and what becomes of a worker that goes wrong."""

import hashlib
import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from numpy.typing import NDArray

from orchestrator.errors import Stage, Symptom
from runner_api.v1 import runner_pb2 as api
from runner_api.v1 import wire
from tests.runners import models
from tests.runners.runner import SECOND_NS, Runner, archive, failing, running
from tests.runners.test_contract import RunnerOf


def test_answers_health_and_reflection(runner_of: RunnerOf) -> None:
    runner = runner_of("null")
    subprocess.run([sys.executable, "-m", "runners.health", runner.target], check=True)
    nobody = subprocess.run([sys.executable, "-m", "runners.health", "unix:/nobody"], capture_output=True, check=False)
    assert nobody.returncode == 1
    with grpc.insecure_channel(runner.target) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        (answer,) = stub.ServerReflectionInfo(asked)  # type: ignore[operator]
    names = {service.name for service in answer.list_services_response.service}
    assert names >= {"runner_api.v1.Runner", "grpc.health.v1.Health"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["null", "--listen", "0.0.0.0:7000"], "plain text"),
        (["null", "--listen", "unix:/no/such/folder/socket"], "cannot listen"),
        (["caffe", "--listen", "127.0.0.1:7000"], "invalid choice: 'caffe'"),
    ],
)
def test_a_wrong_start_is_one_line(arguments: list[str], words: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "runners", *arguments, "--store", str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 2
    assert words in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr


def test_serves_on_loopback_and_drains_when_told_to_stop(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "runners", "null", "--listen", "127.0.0.1:0", "--store", str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline().startswith("null listens on 127.0.0.1:")
        assert process.poll() is None
        process.terminate()
        assert process.wait(20) == 0


def test_stores_what_it_lacks_and_says_what_it_has(runner_of: RunnerOf) -> None:
    runner = runner_of("null")
    content = os.urandom(5 << 20)
    file = runner.folder / "artifact"
    file.write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    assert runner.client.put_artifact(file, sha256) == len(content)
    assert (runner.folder / "store" / wire.LOCAL_OWNER / sha256).read_bytes() == content
    assert runner.client.put_artifact(file, sha256) == 0


@pytest.mark.parametrize(
    ("sha256", "size_bytes", "chunks", "words"),
    [
        (hashlib.sha256(b"another").hexdigest(), 6, [b"con", b"tent"[1:]], "arrived with SHA-256"),
        (hashlib.sha256(b"content").hexdigest(), 7, [b"cont"], "4 came"),
        (hashlib.sha256(b"content").hexdigest(), 3, [b"cont", b"ent"], "4 came"),
        (hashlib.sha256(b"content").hexdigest(), 1 << 60, [], "has room for"),
        ("../../etc/passwd", 7, [b"content"], "not a SHA-256"),
    ],
    ids=["wrong hash", "truncated", "too long", "too big", "no hash"],
)
def test_keeps_nothing_that_is_not_what_was_announced(
    runner_of: RunnerOf, sha256: str, size_bytes: int, chunks: list[bytes], words: str
) -> None:
    runner = runner_of("null")
    before = sorted((runner.folder / "store").iterdir())
    header = api.PutArtifactRequest(header=api.ArtifactHeader(sha256=sha256, size_bytes=size_bytes))
    requests = [header, *(api.PutArtifactRequest(chunk=chunk) for chunk in chunks)]
    with pytest.raises(grpc.RpcError) as raised:
        runner.stub.PutArtifact(iter(requests))
    assert_told(raised.value, api.STAGE_SHIP, api.SYMPTOM_REFUSED, words)
    assert sorted((runner.folder / "store").iterdir()) == before


def test_a_big_artifact_does_not_make_the_server_grow() -> None:
    chunk = bytes(1 << 20)
    digest = hashlib.sha256()
    for _ in range(256):
        digest.update(chunk)

    def requests() -> Iterator[api.PutArtifactRequest]:
        yield api.PutArtifactRequest(header=api.ArtifactHeader(sha256=digest.hexdigest(), size_bytes=256 << 20))
        for _ in range(256):
            yield api.PutArtifactRequest(chunk=chunk)

    with running("null") as runner:
        before = runner.resident_bytes()
        assert runner.stub.PutArtifact(requests()).received_bytes == 256 << 20
        assert runner.resident_bytes() - before < 64 << 20


def test_what_was_never_put_cannot_be_measured(runner_of: RunnerOf) -> None:
    runner = runner_of("null")
    session = api.Session(artifact_sha256="0" * 64, format="onnx", device="cpu", threads=1)
    request = runner.request(session, models.inputs(1))
    with failing(Stage.SHIP, Symptom.REFUSED, "put it first"):
        runner.client.measure(request)


@pytest.mark.parametrize(("field", "value"), [("batch_size", 0), ("timeout_ns", 0), ("kind", 0)])
def test_an_incomplete_order_is_refused(runner_of: RunnerOf, field: str, value: int) -> None:
    runner = runner_of("null")
    request = runner.request(runner.session(b"model", "onnx"), models.inputs(1))
    setattr(request, field, value)
    with failing(Stage.MEASURE, Symptom.REFUSED):
        runner.client.measure(request)


def test_phases_are_told_in_order_before_the_result(runner_of: RunnerOf) -> None:
    runner = runner_of("null")
    request = runner.request(runner.session(b"model", "onnx"), models.inputs(1))
    events = [response.phase or "result" for response in runner.stub.Measure(request)]
    assert events == ["import", "load", "first", "warmup", "steady", "result"]


def test_a_trial_that_never_has_enough_says_what_was_unmet(runner_of: RunnerOf) -> None:
    runner = runner_of("null")
    rule = api.StopRule(min_samples=1, min_time_ns=60 * SECOND_NS, min_undisturbed_samples=1 << 30, max_time_ns=1)
    request = runner.request(runner.session(b"model", "onnx"), models.inputs(1), rule)
    timing = runner.client.measure(request).timing
    assert timing.stopped_by == "max_time"
    assert list(timing.unmet) == ["warmup", "min_time", "min_undisturbed_samples"]


def test_a_result_of_very_many_samples_still_travels(runner_of: RunnerOf) -> None:
    runner = runner_of("null")
    rule = api.StopRule(min_samples=1 << 31, max_time_ns=60 * SECOND_NS)
    request = runner.request(runner.session(b"model", "onnx"), models.inputs(1), rule)
    timing = runner.client.measure(request).timing
    assert timing.stopped_by == "max_samples"
    assert list(timing.unmet) == ["warmup", "min_samples"]


def test_several_callers_take_turns(runner_of: RunnerOf) -> None:
    runner = runner_of("null")
    request = runner.request(runner.session(b"model", "onnx"), models.inputs(1))
    most = 0
    calls = [runner.stub.Measure(request) for _ in range(3)]
    threads = [threading.Thread(target=list, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        most = max(most, len(runner.workers()))
        time.sleep(0.005)
    assert most == 1
    assert all(call.code() == grpc.StatusCode.OK for call in calls)


def test_the_server_sleeps_while_its_worker_is_timed(runner_of: RunnerOf) -> None:
    runner = runner_of("onnxruntime")
    rule = api.StopRule(min_samples=1 << 31, max_time_ns=2 * SECOND_NS)
    session = runner.session(models.endless_onnx(), "onnx")
    request = runner.request(session, models.inputs(1), rule, timeout_s=30)
    call = runner.stub.Measure(request)
    for response in call:
        if response.phase == "first":
            break
    before = runner.cpu_time_s()
    time.sleep(1)
    used_s = runner.cpu_time_s() - before
    call.cancel()
    assert used_s <= 0.02  # two ticks of the kernel's clock
    wait_until(lambda: not runner.workers())


def test_a_runtime_that_hangs_is_ended_in_time(runner_of: RunnerOf) -> None:
    runner = runner_of("onnxruntime")
    request = endless(runner, timeout_s=2)
    with failing(Stage.INFER, Symptom.TIMEOUT, "'first'"):
        runner.client.measure(request)
    assert not runner.workers()


@pytest.mark.parametrize(
    ("number", "symptom"), [(signal.SIGSEGV, Symptom.CRASH), (signal.SIGKILL, Symptom.OUT_OF_MEMORY)]
)
def test_a_worker_that_dies_is_a_failure_of_its_trial_only(
    runner_of: RunnerOf, number: signal.Signals, symptom: Symptom
) -> None:
    runner = runner_of("onnxruntime")
    request = endless(runner, timeout_s=30)

    def kill_when_it_infers() -> object:
        for response in runner.stub.Measure(request):
            if response.phase == "first":
                os.kill(runner.workers()[0], number)
        raise AssertionError("the worker lives")

    with pytest.raises(grpc.RpcError) as raised:
        kill_when_it_infers()
    wanted = api.SYMPTOM_CRASH if symptom is Symptom.CRASH else api.SYMPTOM_OUT_OF_MEMORY
    assert_told(raised.value, api.STAGE_INFER, wanted, number.name)
    session = runner.session(models.greedy_onnx(8), "onnx")
    assert len(list(runner.client.predict(session, [{"x": models.inputs(1)}], 60))) == 1


def test_nothing_that_a_runtime_leaves_behind_outlives_its_trial(runner_of: RunnerOf) -> None:
    runner = runner_of("known")
    session = runner.session(b'{"allocate_bytes": 0, "hold_ns": 0, "daemons": 1}', "known")
    rule = api.StopRule(min_samples=3, max_time_ns=1, max_warmup_ns=1)
    timing = runner.client.measure(runner.request(session, models.inputs(1), rule)).timing
    assert timing.samples_ns
    assert not runner.workers()


def test_a_runtime_that_asks_for_too_much_memory_is_out_of_memory(runner_of: RunnerOf) -> None:
    runner = runner_of("onnxruntime")
    session = runner.session(models.greedy_onnx(1 << 50), "onnx")
    request = runner.request(session, models.inputs(1))
    with failing(Stage.INFER, Symptom.OUT_OF_MEMORY):
        runner.client.measure(request)


def test_a_runtime_that_allocates_without_end_is_stopped_before_the_machine_is_out_of_memory(
    runner_of: RunnerOf,
) -> None:
    runner = runner_of("known")
    session = runner.session(b'{"allocate_bytes": 0, "hold_ns": 0, "leak_bytes": 1073741824}', "known")
    rule = api.StopRule(min_samples=1 << 31, max_time_ns=60 * SECOND_NS)
    with failing(Stage.INFER, Symptom.OUT_OF_MEMORY, "allocate memory"):
        runner.client.measure(runner.request(session, models.inputs(1), rule))


def test_a_caller_who_goes_away_frees_the_runner(runner_of: RunnerOf) -> None:
    runner = runner_of("onnxruntime")
    call = runner.stub.Measure(endless(runner, timeout_s=60))
    assert next(iter(call)).phase == "import"
    call.cancel()
    wait_until(lambda: not runner.workers())


@pytest.mark.parametrize("how", ["end of standard input", "SIGKILL"])
def test_no_worker_outlives_its_runner(how: str) -> None:
    with running("onnxruntime") as runner:
        call = runner.stub.Measure(endless(runner, timeout_s=60))
        assert next(iter(call)).phase == "import"
        (worker,) = runner.workers()
        if how == "SIGKILL":
            runner.process.kill()
        else:
            assert runner.process.stdin
            runner.process.stdin.close()
        runner.process.wait(20)
        wait_until(lambda: has_ended(worker))


@pytest.mark.parametrize(("dtype", "shape"), [("float32", [2, 4]), ("object", [1]), ("no type", [1])])
def test_chunks_that_make_no_tensor_are_refused(runner_of: RunnerOf, dtype: str, shape: list[int]) -> None:
    runner = runner_of("null")
    chunk = api.TensorChunk(name="x", dtype=dtype, shape=shape, data=bytes(8), ends_tensor=True, ends_batch=True)
    opened = api.PredictRequest(open=runner.session(b"model", "onnx"))
    with pytest.raises(grpc.RpcError) as raised:
        list(runner.stub.Predict(iter([opened, api.PredictRequest(chunk=chunk)])))
    assert_told(raised.value, api.STAGE_INFER, api.SYMPTOM_REFUSED, "Predict")


def _npz(**arrays: NDArray[Any]) -> bytes:
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "batch_size", "stage", "words"),
    [
        (archive(models.inputs(3)), 0, Stage.INFER, "batch size of stored inputs is 0"),
        (None, 1, Stage.SHIP, "put it first"),
        (b"no archive", 1, Stage.LOAD, "no .npz archive of arrays of one length"),
        (archive(models.inputs(3))[:200], 1, Stage.LOAD, "no .npz archive of arrays of one length"),
        (_npz(a=models.inputs(3), b=models.inputs(2)), 1, Stage.LOAD, "no .npz archive of arrays of one length"),
        (_npz(), 1, Stage.LOAD, "no .npz archive of arrays of one length"),
        (_npz(a=np.array(1, np.float32)), 1, Stage.LOAD, "no .npz archive of arrays of one length"),
        (archive(models.inputs(2)), 1, Stage.LOAD, "have 2 samples; asked for 3"),
    ],
    ids=["batch of none", "never put", "no archive", "torn", "lengths differ", "empty", "no samples", "too few"],
)
def test_stored_inputs_that_cannot_be_read_are_refused(
    runner_of: RunnerOf, content: bytes | None, batch_size: int, stage: Stage, words: str
) -> None:
    runner = runner_of("null")
    put = "0" * 64 if content is None else runner.put(content)
    stored = api.StoredInputs(inputs_sha256=put, batch_size=batch_size, samples=3)
    questions: list[wire.Tensors | api.StoredInputs] = [{"x": models.inputs(1)}, stored]
    replies = runner.client.predict(runner.session(b"model", "onnx"), questions, 60)
    assert len(next(replies)["output_0"]) == 1
    with failing(stage, Symptom.REFUSED, words):
        next(replies)
    assert not runner.workers()


def endless(runner: Runner, timeout_s: int) -> api.MeasureRequest:
    """A trial that cannot end by itself."""
    session = runner.session(models.endless_onnx(), "onnx")
    return runner.request(session, models.inputs(1), timeout_s=timeout_s)


def assert_told(error: grpc.RpcError, stage: int, symptom: int, words: str) -> None:
    """The status carries a Failure with these."""
    (told,) = (entry.value for entry in error.trailing_metadata() if entry.key == wire.FAILURE_KEY)
    failure = api.Failure.FromString(told)
    assert (failure.stage, failure.symptom) == (stage, symptom), failure.message
    assert words in failure.message


def has_ended(process: int) -> bool:
    """Gone, or waiting to be buried by its new parent."""
    stat = Path(f"/proc/{process}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"


def wait_until(true: Callable[[], bool]) -> None:
    """Within a few seconds."""
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)
