"""A runner that is up, and what it said of itself."""

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from google.protobuf.json_format import MessageToDict

from orchestrator.artifacts import Artifact
from orchestrator.client import RunnerClient
from orchestrator.errors import CaseFailure, Stage, Symptom
from orchestrator.inventory import Host, RunnerEntry
from orchestrator.launch import Launched, Launcher, reach
from orchestrator.preparation import Inputs
from runner_api.v1 import runner_pb2 as api


@dataclass(frozen=True)
class LiveRunner:
    """A runner that answers."""

    client: RunnerClient
    launched: Launched
    description: api.DescribeResponse

    def ship(self, *files: Artifact | Inputs) -> None:
        """Sends what it does not have.

        Raises:
            CaseFailure: (ship) as `RunnerClient.put_artifact`.
        """
        for file in files:
            self.client.put_artifact(file.path, file.sha256)

    def told(self) -> dict[str, Any]:
        """For the campaign's description: all that still holds after the machine's next start."""
        told: dict[str, Any] = MessageToDict(self.description, preserving_proto_field_name=True)
        del told["boot_id"]
        return told | {"isolation": self.launched.isolation, "image_digest": self.launched.image_digest}


def bring_up(host: Host, entry: RunnerEntry, launcher: Launcher, stack: ExitStack) -> LiveRunner | CaseFailure:
    """Starts or reaches a runner of the host, until `stack` is closed; or why that failed."""
    try:
        launched = stack.enter_context(reach(host, entry, launcher))
        client = stack.enter_context(RunnerClient(entry.name, launched.endpoint))
        description = client.describe()
        if description.runtime != entry.kind.runtime:
            found = (
                f"the runner at {launched.endpoint.target} is one of {description.runtime}, not {entry.kind.runtime}"
            )
            raise CaseFailure(Stage.SHIP, Symptom.REFUSED, f"{found}; correct the address of {entry.name}")
        return LiveRunner(client, launched, description)
    except CaseFailure as failure:
        return failure
