"""How many calls a runner takes at a time, and how long it waits for each caller."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from threading import Semaphore
from typing import Any, NamedTuple

import grpc
from google.protobuf.message import Message

from runners.answering import Answering
from runners.failure import Failure, Stage
from runners.patience import Patience

OPENING_S = 10.0
"""For a call's first message to come."""


class Bound(NamedTuple):
    """What the calls of one method may take.

    Args:
        at_once: how many there may be; more are refused at once.
        longest_s: after which a call is cancelled whatever it does.
        waiting_s: after which a call is cancelled whose caller neither sends nor takes messages.
        waiting_bytes: that must have come or gone in `waiting_s`.
        stage: at which a call fails that is refused.
    """

    at_once: int
    longest_s: float
    waiting_s: float = OPENING_S
    waiting_bytes: int = 1
    stage: Stage = "measure"


_HOUR_S = 3600.0
_LOOK_AROUND = Bound(at_once=4, longest_s=_HOUR_S, waiting_s=60)
BOUNDS: Mapping[str, Bound] = {
    "Describe": Bound(at_once=10, longest_s=600),
    "PutArtifact": Bound(at_once=4, longest_s=6 * _HOUR_S, waiting_s=60, waiting_bytes=512 << 10, stage="ship"),
    "Measure": Bound(at_once=10, longest_s=24 * _HOUR_S),
    # An attack thinks between two questions.
    "Predict": Bound(at_once=10, longest_s=24 * _HOUR_S, waiting_s=600, stage="infer"),
    "Check": Bound(at_once=8, longest_s=60),
}
"""By the method's name."""


class _Method(NamedTuple):
    name: str
    behavior: Callable[[Any, grpc.ServicerContext], Any]
    is_stream: bool
    """Of requests."""


class Admission(grpc.ServerInterceptor):
    """Bounds every call, so that callers can neither take all threads of the server nor keep one of them for ever.

    Methods with one request are served as if they were streams of them, which on the wire are the same: gRPC itself
    would wait for that request without end.
    """

    def __init__(self, bounds: Mapping[str, Bound] = BOUNDS) -> None:
        self._bounds = defaultdict(lambda: _LOOK_AROUND, bounds)
        self._places: defaultdict[str, Semaphore] = defaultdict(lambda: Semaphore(_LOOK_AROUND.at_once))
        self._places.update({method: Semaphore(bound.at_once) for method, bound in bounds.items()})
        self._patience = Patience()

    def intercept_service(
        self,
        continuation: "Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler[Any, Any] | None]",
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "grpc.RpcMethodHandler[Any, Any] | None":
        """The method's own handler, within its bounds."""
        handler = continuation(handler_call_details)
        if handler is None:
            return None
        serve, bounded = (
            (grpc.stream_stream_rpc_method_handler, self._many)
            if handler.response_streaming
            else (grpc.stream_unary_rpc_method_handler, self._one)
        )
        behavior = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
        assert behavior  # noqa: S101 - a handler has one of them
        name = handler_call_details.method.rpartition("/")[2]
        method = _Method(name, behavior, handler.request_streaming)
        return serve(
            lambda requests, context: bounded(method, requests, context),
            handler.request_deserializer,
            handler.response_serializer,
        )

    def _one(self, method: _Method, requests: Iterator[Message], context: grpc.ServicerContext) -> Message:
        with self._admitted(method.name, context) as caller:
            response: Message = method.behavior(caller.taken(requests, method.is_stream), context)
            return response

    def _many(self, method: _Method, requests: Iterator[Message], context: grpc.ServicerContext) -> Iterator[Message]:
        with self._admitted(method.name, context) as caller:
            yield from caller.told(method.behavior(caller.taken(requests, method.is_stream), context))

    @contextmanager
    def _admitted(self, method: str, context: grpc.ServicerContext) -> Iterator["_Caller"]:
        """A place for the call, and its time."""
        bound, places = self._bounds[method], self._places[method]
        with Answering(context, bound.stage):
            if not places.acquire(blocking=False):
                message = f"the runner answers {bound.at_once} calls of {method} already; try again later"
                raise Failure(bound.stage, "unavailable", message)
        try:
            yield _Caller(self._patience, context, bound)
        finally:
            self._patience.forget(context)
            places.release()


class _Caller:
    """One who is waited for, with patience that messages restore."""

    def __init__(self, patience: Patience, context: grpc.ServicerContext, bound: Bound) -> None:
        self._patience = patience
        self._context = context
        self._bound = bound
        self._end_s = time.monotonic() + bound.longest_s
        self._left_s = OPENING_S
        self._opened = False

    def taken(self, requests: Iterator[Message], is_stream: bool) -> Any:
        """What a handler is given: the requests, or the only one, which is then there."""
        heard = self._heard(requests)
        if is_stream:
            return heard
        with Answering(self._context, self._bound.stage):
            for request in heard:
                return request
            raise Failure(self._bound.stage, "refused", "the call ended without a request")

    def _heard(self, requests: Iterator[Message]) -> Iterator[Message]:
        """The requests as they come."""
        while True:
            with self._waiting():
                request = next(requests, None)
            if request is None:
                return
            self._restore(request)
            yield request

    def told(self, responses: Iterable[Message]) -> Iterator[Message]:
        """The responses; one is taken when the next is asked for."""
        for response in responses:
            with self._waiting():
                yield response
            self._restore(response)

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        begun_s = time.monotonic()
        self._patience.allow(self._context, min(self._end_s, begun_s + self._left_s))
        yield
        self._left_s -= time.monotonic() - begun_s
        self._patience.allow(self._context, self._end_s)

    def _restore(self, message: Message) -> None:
        waiting_s = self._bound.waiting_s
        earned_s = waiting_s * message.ByteSize() / self._bound.waiting_bytes
        self._left_s = min(waiting_s, self._left_s + earned_s) if self._opened else waiting_s
        self._opened = True
