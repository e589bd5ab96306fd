"""What a runner takes at a time, and how long it waits for its callers."""

import contextlib
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from runner_api.v1 import runner_pb2 as api
from runner_api.v1 import runner_pb2_grpc, wire
from runners.admission import Admission, Bound
from runners.service import RunnerService
from runners.store import Store
from tests.runners import models
from tests.runners.test_contract import RunnerOf
from tests.runners.test_service import endless, wait_until

WAITING = 8


@contextlib.contextmanager
def uploading(folder: Path, bound: Bound) -> Iterator[runner_pb2_grpc.RunnerStub]:
    """A server in this process whose uploads are bounded so."""
    server = grpc.server(ThreadPoolExecutor(8), interceptors=[Admission({"PutArtifact": bound})])
    store = Store(folder / "store")
    runner_pb2_grpc.add_RunnerServicer_to_server(RunnerService("null", store), server)
    server.add_insecure_port(f"unix:{folder}/socket")
    server.start()
    with contextlib.closing(store), grpc.insecure_channel(f"unix:{folder}/socket") as channel:
        yield runner_pb2_grpc.RunnerStub(channel)
        server.stop(None).wait()


def ten_pieces(size_bytes: int, pause_s: float) -> Iterator[api.PutArtifactRequest]:
    """An upload with a pause before each piece."""
    yield api.PutArtifactRequest(header=api.ArtifactHeader(sha256="0" * 64, size_bytes=10 * size_bytes))
    for _ in range(10):
        time.sleep(pause_s)
        yield api.PutArtifactRequest(chunk=bytes(size_bytes))


def test_an_upload_that_stalls_or_crawls_or_takes_too_long_is_cut_off_and_a_slow_one_is_not(tmp_path: Path) -> None:
    patient = Bound(at_once=4, longest_s=3, waiting_s=0.5, waiting_bytes=1000)
    with uploading(tmp_path, patient) as stub:
        for requests in (ten_pieces(1000, 2), ten_pieces(10, 0.3), ten_pieces(1000, 0.4)):
            with pytest.raises(grpc.RpcError) as raised:
                stub.PutArtifact(requests)
            assert raised.value.code() == grpc.StatusCode.CANCELLED
        with pytest.raises(grpc.RpcError) as raised:
            stub.PutArtifact(ten_pieces(1000, 0.1))
        assert "arrived with SHA-256" in (raised.value.details() or "")
        assert [path.name for path in (tmp_path / "store").iterdir()] == [".lock"]


def test_one_upload_more_than_there_may_be_is_refused_at_once(tmp_path: Path) -> None:
    with uploading(tmp_path, Bound(at_once=1, longest_s=60, waiting_s=60, stage="ship")) as stub:
        first = stub.PutArtifact.future(ten_pieces(1000, 1))
        assert dict(first.initial_metadata())[wire.ARTIFACT_KEY] == wire.ARTIFACT_WANTED
        with pytest.raises(grpc.RpcError) as raised:
            stub.PutArtifact(ten_pieces(1000, 0))
        first.cancel()
    assert raised.value.code() == grpc.StatusCode.UNAVAILABLE
    assert "1 calls of PutArtifact already; try again later" in (raised.value.details() or "")


def test_who_comes_when_many_wait_is_told_at_once_and_who_leaves_waits_no_more(runner_of: RunnerOf) -> None:
    runner = runner_of("onnxruntime")
    request = endless(runner, timeout_s=60)
    running = runner.stub.Measure(request)
    assert next(iter(running)).phase == "import"
    queue = [runner.stub.Measure(request) for _ in range(WAITING + 1)]
    wait_until(lambda: any(call.done() for call in queue))
    (refused,) = (call for call in queue if call.done())
    assert refused.code() == grpc.StatusCode.UNAVAILABLE
    assert "8 callers wait for this runner already" in refused.details()
    for call in (*queue, running):
        call.cancel()
    session = runner.session(models.greedy_onnx(8), "onnx")
    assert len(list(runner.client.predict(session, [{"x": models.inputs(1)}], 30))) == 1


def test_a_batch_without_end_is_refused_before_memory_ends() -> None:
    chunk = api.TensorChunk(name="x", dtype="float32", shape=[1 << 40], data=bytes(1 << 10))
    with pytest.raises(ValueError, match="ask in smaller batches"):
        list(wire.join((chunk for _ in range(1 << 30)), most_bytes=1 << 20))
