"""A runner among callers who mean no good, or are very many, over mutual TLS."""

import contextlib
import hashlib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import grpc
import pytest

from orchestrator import addresses
from orchestrator.certificates import ORCHESTRATOR, Authority, orchestrators
from orchestrator.client import RunnerClient
from orchestrator.endpoint import Endpoint
from orchestrator.errors import Stage, Symptom
from runner_api.v1 import runner_pb2 as api
from runner_api.v1 import runner_pb2_grpc, wire
from runners.admission import BOUNDS
from tests.remote.conftest import listening
from tests.runners import models
from tests.runners.runner import SECOND_NS, failing


@pytest.fixture(scope="module")
def address(authority_folder: Path) -> Iterator[str]:
    """Of a runner for all tests here."""
    with listening(Authority(authority_folder).issue(["127.0.0.1"])[0]) as address:
        yield address


@pytest.fixture(scope="module")
def honest(address: str, authority_folder: Path) -> Iterator[RunnerClient]:
    """The orchestrator's."""
    with RunnerClient("null", Endpoint(address, orchestrators(authority_folder))) as client:
        yield client


def another(authority: Authority, folder: Path) -> Path:
    """A second caller's certificate."""
    for name, content in authority.certify([ORCHESTRATOR]).files().items():
        (folder / name).write_bytes(content)
    return folder


def test_a_stolen_hash_reads_nothing(address: str, honest: RunnerClient, authority: Authority, tmp_path: Path) -> None:
    """What one certified caller put is not there for another."""
    content = b"of the owner"
    file, sha256 = tmp_path / "artifact", hashlib.sha256(content).hexdigest()
    file.write_bytes(content)
    session = api.Session(artifact_sha256=sha256, format="onnx", device="cpu", threads=1)
    measure = api.MeasureRequest(
        session=session,
        kind=api.TRIAL_KIND_MEMORY,
        inputs_sha256=sha256,
        batch_size=1,
        timeout_ns=30 * SECOND_NS,
    )
    assert [honest.put_artifact(file, sha256) for _ in range(2)] == [len(content), 0]
    with RunnerClient("null", Endpoint(address, another(authority, tmp_path))) as thief:
        with failing(Stage.SHIP, Symptom.REFUSED, "put it first"):
            thief.measure(measure)
        with failing(Stage.SHIP, Symptom.REFUSED, "put it first"):
            next(thief.predict(session, [api.StoredInputs(inputs_sha256=sha256, batch_size=1)], 30))
        assert thief.put_artifact(file, sha256) == len(content)  # to have it is to be able to send it


def test_the_orchestrator_of_another_authority_is_not_answered(
    address: str, authority: Authority, tmp_path: Path
) -> None:
    stranger = another(Authority.create(tmp_path), tmp_path)
    (stranger / "ca.crt").write_bytes((authority.issue(["x.example"])[0] / "ca.crt").read_bytes())
    with RunnerClient("null", Endpoint(address, stranger)) as client, failing(Stage.SHIP, Symptom.UNAVAILABLE):
        client.health()


def test_an_oversized_message_is_refused_and_the_next_answered(
    address: str, honest: RunnerClient, authority_folder: Path
) -> None:
    header = api.PutArtifactRequest(header=api.ArtifactHeader(sha256="0" * 64, size_bytes=8 << 20))
    oversized = api.PutArtifactRequest(chunk=bytes(wire.MESSAGE_BYTES + 1))
    with Endpoint(address, orchestrators(authority_folder)).open() as channel, pytest.raises(grpc.RpcError) as raised:
        runner_pb2_grpc.RunnerStub(channel).PutArtifact(iter([header, oversized]), timeout=30)
    assert raised.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert honest.health() == "serving"


def test_streams_that_say_nothing_are_cut_off_and_take_nothing_from_other_calls(
    address: str, honest: RunnerClient, authority_folder: Path
) -> None:
    """More than there may be of every method, each opened and then silent; and a connection without a handshake."""
    silence = Event()
    calls: list[Any] = []

    def nothing() -> Iterator[Any]:
        silence.wait()
        yield from ()

    with contextlib.ExitStack() as stack:
        silent = stack.enter_context(socket.create_connection(addresses.split(address)))
        channel = stack.enter_context(Endpoint(address, orchestrators(authority_folder)).open())
        stack.callback(silence.set)
        for method in ("Measure", "Predict", "PutArtifact"):
            opened: Any = channel.stream_stream(f"/runner_api.v1.Runner/{method}")
            calls += [opened(nothing()) for _ in range(BOUNDS[method].at_once + 1)]
        assert honest.describe().runtime == "null"
        assert honest.health() == "serving"
        codes = [call.code() for call in calls]
        silent.settimeout(30)
        assert silent.recv(1) == b""
    assert {code: codes.count(code) for code in codes} == {
        grpc.StatusCode.UNAVAILABLE: 3,
        grpc.StatusCode.CANCELLED: len(calls) - 3,
    }


def test_an_honest_caller_is_answered_in_a_crowd(
    address: str, honest: RunnerClient, authority_folder: Path, tmp_path: Path
) -> None:
    """A tenth of a thousand connections, half of them over mutual TLS and silent, half of them without a word."""
    content = b"of a crowd"
    file, sha256 = tmp_path / "artifact", hashlib.sha256(content).hexdigest()
    file.write_bytes(content)
    certs = orchestrators(authority_folder)
    context = ssl.create_default_context(cafile=certs / "ca.crt")
    context.load_cert_chain(certs / "tls.crt", certs / "tls.key")
    context.set_alpn_protocols(["h2"])
    with contextlib.ExitStack() as stack:
        for _ in range(50):
            stack.enter_context(socket.create_connection(addresses.split(address)))
            plain = socket.create_connection(addresses.split(address))
            stack.enter_context(context.wrap_socket(plain, server_hostname="127.0.0.1"))
        assert honest.put_artifact(file, sha256) == len(content)
        session = api.Session(artifact_sha256=sha256, format="onnx", device="cpu", threads=1)
        with honest.dialogue(session, 30) as model:
            assert model.ask({"x": models.inputs(2)}).shape == models.inputs(2).shape
