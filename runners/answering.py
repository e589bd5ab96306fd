"""What goes wrong in a call becomes a status with its Failure beside it."""

from types import TracebackType

import grpc

from runner_api.v1 import runner_pb2 as api
from runner_api.v1 import wire
from runners.failure import Failure, Stage, Symptom, unexpected

_STATUS: dict[Symptom, grpc.StatusCode] = {
    "crash": grpc.StatusCode.INTERNAL,
    "unsupported-operator": grpc.StatusCode.UNIMPLEMENTED,
    "timeout": grpc.StatusCode.DEADLINE_EXCEEDED,
    "out-of-memory": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "wrong-output": grpc.StatusCode.DATA_LOSS,
    "placement": grpc.StatusCode.FAILED_PRECONDITION,
    "refused": grpc.StatusCode.INVALID_ARGUMENT,
    "unavailable": grpc.StatusCode.UNAVAILABLE,
}


class Answering:
    """The one place where this is done.

    Args:
        context: of the call.
        stage: at which an unexpected error failed.
    """

    def __init__(self, context: grpc.ServicerContext, stage: Stage) -> None:
        self._context = context
        self._stage = stage

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, Exception):
            failure = error if isinstance(error, Failure) else unexpected(self._stage, error)
            self._context.set_trailing_metadata(((wire.FAILURE_KEY, _message(failure).SerializeToString()),))
            self._context.abort(_STATUS[failure.symptom], failure.message)


def _message(failure: Failure) -> api.Failure:
    return api.Failure(
        stage=wire.enum_name("STAGE", failure.stage),
        symptom=wire.enum_name("SYMPTOM", failure.symptom),
        message=failure.message,
    )
