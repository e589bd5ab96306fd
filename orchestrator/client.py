"""A runner as a Python object: deadlines, retries of what is safe to repeat, chunks in both directions."""

import json
import queue
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc
import numpy as np
from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2, health_pb2_grpc
from numpy.typing import NDArray

from orchestrator.endpoint import Endpoint
from orchestrator.errors import CaseFailure, RunnerLost, Stage, Symptom
from runner_api.v1 import runner_pb2 as api
from runner_api.v1 import runner_pb2_grpc, wire
from runner_api.v1.wire import CHUNK_BYTES, CONTRACT_VERSION, Tensors

HEALTH_TIMEOUT_S = 10.0
DESCRIBE_TIMEOUT_S = 120.0
PUT_TIMEOUT_S = 3600.0
# Beyond the time that the runner itself allows a trial, for its answer to travel.
ANSWER_MARGIN_S = 30.0

RETRY_DESCRIBE = {
    "methodConfig": [
        {
            "name": [{"service": "runner_api.v1.Runner", "method": "Describe"}],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.2s",
                "maxBackoff": "2s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}


class RunnerClient:
    """A connection to one runner.

    Every method raises CaseFailure: with the runner's own stage and symptom where it sent them, else `unavailable` or
    `timeout`.
    """

    def __init__(self, name: str, endpoint: Endpoint) -> None:
        self.name = name
        self._endpoint = endpoint
        self._channel = endpoint.open([("grpc.service_config", json.dumps(RETRY_DESCRIBE))])
        self._stub = runner_pb2_grpc.RunnerStub(self._channel)
        self._health = health_pb2_grpc.HealthStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Cancels what is under way, from whichever thread, and lets the connection go."""
        self._channel.close()

    def describe(self) -> api.DescribeResponse:
        """What the runner is; refuses one of another contract version."""
        try:
            description: api.DescribeResponse = self._stub.Describe(api.DescribeRequest(), timeout=DESCRIBE_TIMEOUT_S)
        except grpc.RpcError as error:
            raise self._failure(error, Stage.SHIP) from None
        if description.contract_version != CONTRACT_VERSION:
            raise CaseFailure(
                Stage.SHIP,
                Symptom.REFUSED,
                f"the runner {self.name} speaks contract version {description.contract_version}, this orchestrator "
                f"{CONTRACT_VERSION}; install the same portbench on both sides",
            )
        return description

    def health(self) -> str:
        """As the standard health service says it: "serving", "not-serving" or "unknown"."""
        try:
            answer = self._health.Check(  # type: ignore[attr-defined]
                health_pb2.HealthCheckRequest(), timeout=HEALTH_TIMEOUT_S
            )
        except grpc.RpcError as error:
            raise self._failure(error, Stage.SHIP) from None
        return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status).lower().replace("_", "-")

    def is_serving(self) -> bool:
        """Whether the runner answers now."""
        try:
            return self.health() == "serving"
        except CaseFailure:
            return False

    def put_artifact(self, path: Path, sha256: str) -> int:
        """Sends the file unless the runner has it; returns the bytes of it that travelled."""
        wanted: queue.SimpleQueue[bool] = queue.SimpleQueue()
        call = self._stub.PutArtifact.future(_header_then_chunks(path, sha256, wanted.get), timeout=PUT_TIMEOUT_S)
        try:
            metadata = dict(call.initial_metadata() or ())
            wanted.put(metadata.get(wire.ARTIFACT_KEY) == wire.ARTIFACT_WANTED)
            return int(call.result().received_bytes)
        except grpc.RpcError as error:
            raise self._failure(error, Stage.SHIP) from None
        finally:
            wanted.put(False)

    def measure(
        self, request: api.MeasureRequest, on_phase: Callable[[str], None] = lambda _phase: None
    ) -> api.TrialResult:
        """One trial; `on_phase` hears the name of each phase as it begins."""
        timeout_s = request.timeout_ns / 1e9 + ANSWER_MARGIN_S
        try:
            for response in self._stub.Measure(request, timeout=timeout_s):
                if response.WhichOneof("event") == "result":
                    result: api.TrialResult = response.result
                    return result
                on_phase(response.phase)
        except grpc.RpcError as error:
            raise self._failure(error, Stage.MEASURE) from None
        raise CaseFailure(Stage.MEASURE, Symptom.CRASH, f"the runner {self.name} ended the trial without a result")

    def predict(
        self, session: api.Session, batches: Iterable[Tensors | api.StoredInputs], timeout_s: float
    ) -> Iterator[Tensors]:
        """The answers to each batch, in order; the next batch is sent when `batches` yields it.

        Stored inputs are answered in as many batches as they have, the last of which may be smaller.
        """
        try:
            responses = self._stub.Predict(_open_then_batches(session, batches), timeout=timeout_s)
            yield from wire.join(response.chunk for response in responses)
        except grpc.RpcError as error:
            raise self._failure(error, Stage.INFER) from None

    def dialogue(self, session: api.Session, timeout_s: float) -> "Dialogue":
        """One after the other, questions to a model that stays loaded in between; `timeout_s` is for all together."""
        return Dialogue(self, session, timeout_s)

    def _failure(self, error: grpc.RpcError, stage: Stage) -> CaseFailure:
        for entry in error.trailing_metadata() or ():
            if entry.key == wire.FAILURE_KEY:
                return _told_by_runner(entry.value, stage)
        details = " ".join(str(error.details()).split())
        if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
            return CaseFailure(stage, Symptom.TIMEOUT, f"the runner {self.name} did not answer in time")
        if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
            remedy = f"is it up at {self._endpoint.target}?"
            return RunnerLost(
                stage, Symptom.UNAVAILABLE, f"the runner {self.name} does not answer ({details}); {remedy}"
            )
        return CaseFailure(stage, Symptom.CRASH, f"the runner {self.name}: {error.code().name}: {details}")


class Dialogue:
    """A Predict call under way, see `RunnerClient.dialogue`. The runner serves nobody else before it is closed."""

    def __init__(self, client: RunnerClient, session: api.Session, timeout_s: float) -> None:
        self._name = client.name
        self._questions: queue.SimpleQueue[Tensors | api.StoredInputs | None] = queue.SimpleQueue()
        self._answers = client.predict(session, iter(self._questions.get, None), timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Lets the model go."""
        self._questions.put(None)
        with suppress(CaseFailure):  # what matters has been answered
            for _ in self._answers:
                pass

    def ask(self, batch: Tensors) -> NDArray[Any]:
        """The model's first output for one batch.

        Raises:
            CaseFailure: as `RunnerClient.predict`; afterwards there are no answers any more.
        """
        self._questions.put(batch)
        return self._joined(1)[0]

    def ask_stored(self, inputs_sha256: str, samples: int, batch_size: int) -> list[NDArray[Any]]:
        """The model's outputs for the first `samples` of inputs that were put before, each of shape (samples, ...).

        Raises:
            CaseFailure: as `ask`.
        """
        self._questions.put(api.StoredInputs(inputs_sha256=inputs_sha256, batch_size=batch_size, samples=samples))
        return self._joined(-(-samples // batch_size))

    def _joined(self, batches: int) -> list[NDArray[Any]]:
        try:
            answers = [list(next(self._answers).values()) for _ in range(batches)]
            outputs = [np.concatenate(pieces) for pieces in zip(*answers, strict=True)]
        except (StopIteration, ValueError) as error:
            message = f"the answers of {self._name} do not hold together: {error or 'they end too early'}"
            raise CaseFailure(Stage.COMPARE, Symptom.WRONG_OUTPUT, message) from None
        if not outputs:
            message = f"the answers of {self._name} hold no output"
            raise CaseFailure(Stage.COMPARE, Symptom.WRONG_OUTPUT, message)
        return outputs


def _header_then_chunks(path: Path, sha256: str, wanted: Callable[[], bool]) -> Iterator[api.PutArtifactRequest]:
    """The header at once, the chunks only when the runner turns out to want them."""
    yield api.PutArtifactRequest(header=api.ArtifactHeader(sha256=sha256, size_bytes=path.stat().st_size))
    if not wanted():
        return
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield api.PutArtifactRequest(chunk=chunk)


def _open_then_batches(
    session: api.Session, batches: Iterable[Tensors | api.StoredInputs]
) -> Iterator[api.PredictRequest]:
    yield api.PredictRequest(open=session)
    for batch in batches:
        if isinstance(batch, api.StoredInputs):
            yield api.PredictRequest(stored=batch)
        else:
            yield from (api.PredictRequest(chunk=chunk) for chunk in wire.split(batch))


def _told_by_runner(serialized: str | bytes, stage: Stage) -> CaseFailure:
    """The failure that the runner put into its trailing metadata."""
    try:
        failure = api.Failure.FromString(serialized.encode() if isinstance(serialized, str) else serialized)
        told = Stage(wire.word(api.Stage.Name(failure.stage))), Symptom(wire.word(api.Symptom.Name(failure.symptom)))
    except (DecodeError, TypeError, ValueError):
        return CaseFailure(stage, Symptom.CRASH, "the runner sent a failure that cannot be read")
    return CaseFailure(*told, failure.message)
