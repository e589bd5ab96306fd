"""A runner among callers who mean no good, or are very many, over mutual TLS."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.certificates import ORCHESTRATOR, Authority, orchestrators
from orchestrator.client import RunnerClient
from orchestrator.endpoint import Endpoint
from orchestrator.errors import Stage, Symptom
from runner_api.v1 import runner_pb2 as api
from tests.remote.conftest import listening
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
