"""`python -m tests.faults.recorded LOG SOCKET STORE [VERSION]`: ONNX Runtime's runner, which writes down what it does.

A line for each call that ends well, or for Measure as it begins; with VERSION it says to be of that version.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc

from runner_api.v1 import runner_pb2 as api
from runners import server
from runners.service import RunnerService
from runners.store import Store


class Recorded(RunnerService):
    """Writes down."""

    def Describe(self, request: api.DescribeRequest, context: grpc.ServicerContext) -> api.DescribeResponse:  # noqa: N802
        described = super().Describe(request, context)
        if len(sys.argv) > 4:
            described.versions["onnxruntime"] = sys.argv[4]
        return described

    def PutArtifact(  # noqa: N802
        self, request_iterator: Iterator[api.PutArtifactRequest], context: grpc.ServicerContext
    ) -> api.PutArtifactResponse:
        response = super().PutArtifact(request_iterator, context)
        if response.received_bytes:
            _write("uploaded")
        return response

    def Measure(self, request: api.MeasureRequest, context: grpc.ServicerContext) -> Iterator[api.MeasureResponse]:  # noqa: N802
        _write("measured")
        yield from super().Measure(request, context)


def _write(line: str) -> None:
    with Path(sys.argv[1]).open("a") as log:
        log.write(f"{line}\n")


def main() -> None:
    """Until standard input ends."""
    changed: Any = server
    changed.RunnerService = Recorded
    server.serve("onnxruntime", [f"unix:{sys.argv[2]}"], Store(Path(sys.argv[3])), None, exit_on_stdin_eof=True)


if __name__ == "__main__":
    main()
