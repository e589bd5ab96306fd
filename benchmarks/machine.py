"""The machine, as a runner on it describes it."""

from typing import Any

from google.protobuf.json_format import MessageToDict

from orchestrator.client import RunnerClient
from orchestrator.launch.process import ProcessLauncher
from orchestrator.runtimes import RUNNERS


def description() -> dict[str, Any]:
    """Facts about hardware and system, and the fingerprint by which rows name the machine."""
    with ProcessLauncher().start(RUNNERS["null"]) as launched, RunnerClient("null", launched.endpoint) as client:
        described = client.describe()
    facts: dict[str, Any] = MessageToDict(described.environment)
    return facts | {"host_fingerprint": described.host_fingerprint}
