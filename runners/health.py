"""`python -m runners.health ADDRESS`: exit code 0 when the runner there is serving; for a container's HEALTHCHECK."""

import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

_TIMEOUT_S = 5.0


def main() -> None:
    """Asks the standard health service."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m runners.health unix:PATH|HOST:PORT")
    try:
        with grpc.insecure_channel(sys.argv[1]) as connection:
            health = health_pb2_grpc.HealthStub(connection)
            response = health.Check(health_pb2.HealthCheckRequest(), timeout=_TIMEOUT_S)  # type: ignore[attr-defined]
    except grpc.RpcError as error:
        sys.exit(f"no runner answers at {sys.argv[1]}: {error.details()}")
    if response.status != health_pb2.HealthCheckResponse.SERVING:
        sys.exit(f"the runner at {sys.argv[1]} is not serving")


if __name__ == "__main__":
    main()
