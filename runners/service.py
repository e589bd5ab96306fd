"""The contract's servicer: translates calls into jobs and back, and failures into statuses."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, groupby
from typing import Any

import grpc
from google.protobuf.struct_pb2 import Struct

from runner_api.v1 import runner_pb2 as api
from runner_api.v1 import runner_pb2_grpc, wire
from runners import arrays
from runners.answering import Answering
from runners.certificates import owner_of
from runners.failure import Failure
from runners.jobs import Plan, Session, StopRule
from runners.measure.environment import boot_id, environment, fingerprint
from runners.measure.threads import available_cpus
from runners.store import Lease, Store
from runners.supervisor import Worker
from runners.turn import Turn

_DESCRIBE_TIMEOUT_S = 300.0
_MOST_WAITING = 8


class RunnerService(runner_pb2_grpc.RunnerServicer):
    """One runtime behind the contract; measures and predicts for one caller at a time.

    Args:
        runtime: name of an adapter.
        store: where artifacts and inputs are kept.
    """

    def __init__(self, runtime: str, store: Store) -> None:
        self._runtime = runtime
        self._store = store
        self._turn = Turn(_MOST_WAITING)
        self._description: dict[str, Any] | None = None

    def Describe(  # noqa: N802 - the contract's name
        self,
        request: api.DescribeRequest,  # noqa: ARG002 - it is empty
        context: grpc.ServicerContext,
    ) -> api.DescribeResponse:
        """What the framework says of itself is asked once."""
        with Answering(context, "measure"):
            facts = Struct()
            facts.update(environment())
            return api.DescribeResponse(
                contract_version=wire.CONTRACT_VERSION,
                runtime=self._runtime,
                available_cpus=available_cpus(),
                host_fingerprint=fingerprint(),
                boot_id=boot_id(),
                environment=facts,
                **self._describe(context),
            )

    def PutArtifact(  # noqa: N802
        self, request_iterator: Iterator[api.PutArtifactRequest], context: grpc.ServicerContext
    ) -> api.PutArtifactResponse:
        """Says whether the artifact is wanted before it reads it."""
        with Answering(context, "ship"):
            first = next(request_iterator, api.PutArtifactRequest())
            if not first.HasField("header"):
                raise Failure("ship", "refused", "PutArtifact: the first message must be the header")
            owner, sha256, size_bytes = owner_of(context), first.header.sha256, first.header.size_bytes
            if self._store.has(owner, sha256):
                context.send_initial_metadata(((wire.ARTIFACT_KEY, wire.ARTIFACT_STORED),))
                return api.PutArtifactResponse()
            with self._store.upload(owner, sha256, size_bytes) as write:
                context.send_initial_metadata(((wire.ARTIFACT_KEY, wire.ARTIFACT_WANTED),))
                write(request.chunk for request in request_iterator)
            return api.PutArtifactResponse(received_bytes=size_bytes)

    def Measure(  # noqa: N802
        self, request: api.MeasureRequest, context: grpc.ServicerContext
    ) -> Iterator[api.MeasureResponse]:
        """Passes the phases on and sleeps in between."""
        with Answering(context, "measure"), self._store.lease(owner_of(context)) as lease:
            job, threads = self._measure_job(request, lease), request.session.threads
            with self._worker(context, threads, request.timeout_ns / 1e9) as worker:
                worker.send(job)
                while "result" not in (header := worker.receive().header):
                    yield api.MeasureResponse(phase=header["phase"])
            yield api.MeasureResponse(result=api.TrialResult(**header["result"]))

    def Predict(  # noqa: N802
        self, request_iterator: Iterator[api.PredictRequest], context: grpc.ServicerContext
    ) -> Iterator[api.PredictResponse]:
        """Loads, then answers each batch before it takes the next."""
        with Answering(context, "infer"), self._store.lease(owner_of(context)) as lease:
            first = next(request_iterator, api.PredictRequest())
            if not first.HasField("open"):
                raise Failure("infer", "refused", "Predict: the first message must open the session")
            session = self._session(first.open, lease)
            with self._worker(context, session.threads, None) as worker:
                worker.send({"job": "predict", "session": session._asdict()})
                while worker.receive().header["phase"] != "first":
                    pass
                for batch in self._batches(request_iterator, lease):
                    worker.send({}, arrays.to_tensors(batch))
                    for chunk in wire.split(arrays.from_tensors(worker.receive().tensors)):
                        yield api.PredictResponse(chunk=chunk)

    def _batches(self, requests: Iterator[api.PredictRequest], lease: Lease) -> Iterator[wire.Tensors]:
        """Those that are sent and those that are stored, each kind in runs."""
        try:
            for stored, run in groupby(requests, lambda request: request.HasField("stored")):
                if stored:
                    yield from chain.from_iterable(self._stored(request.stored, lease) for request in run)
                else:
                    yield from wire.join(request.chunk for request in run)
        except ValueError as error:
            raise Failure("infer", "refused", f"Predict: {error}") from error

    def _stored(self, wanted: api.StoredInputs, lease: Lease) -> Iterator[wire.Tensors]:
        if wanted.batch_size < 1:
            raise Failure("infer", "refused", "Predict: the batch size of stored inputs is 0; ask for at least 1")
        return arrays.read_batches(lease.path(wanted.inputs_sha256), wanted.batch_size, wanted.samples or None)

    def _describe(self, context: grpc.ServicerContext) -> dict[str, Any]:
        if self._description is None:
            with self._worker(context, available_cpus(), _DESCRIBE_TIMEOUT_S) as worker:
                worker.send({"job": "describe", "runtime": self._runtime})
                self._description = worker.receive().header["description"]
        return self._description

    def _session(self, session: api.Session, lease: Lease) -> Session:
        if session.threads < 1:
            raise Failure("load", "refused", "threads is 0; ask for at least 1")
        artifact = str(lease.path(session.artifact_sha256))
        return Session(self._runtime, artifact, session.format, session.device, session.threads)

    def _measure_job(self, request: api.MeasureRequest, lease: Lease) -> dict[str, Any]:
        kinds = (api.TRIAL_KIND_TIMING, api.TRIAL_KIND_MEMORY)
        if request.kind not in kinds or request.batch_size < 1 or request.timeout_ns < 1:
            raise Failure(
                "measure", "refused", "Measure: give a kind of trial, and a batch size and a time-out above 0"
            )
        plan = Plan(
            memory=request.kind == api.TRIAL_KIND_MEMORY,
            inputs=str(lease.path(request.inputs_sha256)),
            batch_size=request.batch_size,
            compute_only=request.compute_only,
            reference_best_ns=request.reference_best_ns,
        )
        rule = StopRule(
            min_samples=request.stop_rule.min_samples,
            min_time_ns=request.stop_rule.min_time_ns,
            min_undisturbed_samples=request.stop_rule.min_undisturbed_samples,
            max_time_ns=request.stop_rule.max_time_ns,
            max_warmup_ns=request.stop_rule.max_warmup_ns,
        )
        session = self._session(request.session, lease)
        return {"job": "measure", "session": session._asdict(), "plan": plan._asdict(), "stop_rule": rule._asdict()}

    @contextmanager
    def _worker(self, context: grpc.ServicerContext, threads: int, timeout_s: float | None) -> Iterator[Worker]:
        """A worker in its turn, which ends with the call however that ends."""
        gone = Failure("measure", "unavailable", "the caller went away")
        with self._turn.of(context), Worker(threads, timeout_s) as worker:
            if not context.add_callback(lambda: worker.kill(gone)):
                raise gone
            yield worker
