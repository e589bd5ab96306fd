"""Waiting for a runner to answer its health check."""

import time
from collections.abc import Callable

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from orchestrator.endpoint import Endpoint
from orchestrator.errors import CaseFailure, Stage, Symptom

ATTEMPT_TIMEOUT_S = 1.0
PAUSE_S = 0.05


def wait_until_serving(endpoint: Endpoint, timeout_s: float, death: Callable[[], str | None]) -> None:
    """Returns once the runner at `endpoint` says SERVING.

    Args:
        endpoint: of the runner.
        timeout_s: seconds until the runner counts as unavailable.
        death: why the runner can no longer come up, None while it can.

    Raises:
        CaseFailure: it died or the time is up.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        # A new channel each time: a channel that failed once backs off for longer than a runner needs to start.
        with endpoint.open() as channel:
            if _serves(channel):
                return
        reason = death()
        if reason is None and time.monotonic() > deadline:
            reason = f"the runner at {endpoint.target} did not answer within {timeout_s:.0f} s"
        if reason is not None:
            raise CaseFailure(Stage.SHIP, Symptom.UNAVAILABLE, reason)
        time.sleep(PAUSE_S)


def _serves(channel: grpc.Channel) -> bool:
    stub = health_pb2_grpc.HealthStub(channel)
    try:
        answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=ATTEMPT_TIMEOUT_S)  # type: ignore[attr-defined]
    except grpc.RpcError:
        return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
