"""A runner that is up, and what it said of itself."""

import hashlib
import json
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from google.protobuf.json_format import MessageToDict

from orchestrator.client import RunnerClient
from orchestrator.errors import CaseFailure, RunnerLost, Stage, Symptom
from orchestrator.inventory import Host, RunnerEntry
from orchestrator.launch import Launched, Launcher, reach
from orchestrator.preparation import Stored
from runner_api.v1 import runner_pb2 as api


@dataclass(frozen=True)
class LiveRunner:
    """A runner that answers."""

    client: RunnerClient
    launched: Launched
    description: api.DescribeResponse

    def ship(self, *files: Stored) -> None:
        """Sends what it does not have.

        Raises:
            CaseFailure: (ship) as `RunnerClient.put_artifact`.
        """
        for file in files:
            self.client.put_artifact(file.path, file.sha256)

    def is_lost(self, failure: CaseFailure) -> bool:
        """Whether `failure` is not the case's own: the runner is gone, or was and came back."""
        if isinstance(failure, RunnerLost):
            return True
        return failure.symptom in (Symptom.UNAVAILABLE, Symptom.TIMEOUT) and not self.client.is_serving()

    def asked_again(self) -> "LiveRunner":
        """This runner as it describes itself now: behind its address another one may have taken its place.

        Raises:
            CaseFailure: as `RunnerClient.describe`.
        """
        description = self.client.describe()
        same = _lasting(description) == _lasting(self.description)
        return self if same else replace(self, description=description)

    @property
    def software(self) -> str | None:
        """A hash of the versions of what executes, where no image's digest tells it."""
        if self.launched.image_digest is not None:
            return None
        versions = json.dumps(dict(self.description.versions), sort_keys=True)
        return hashlib.sha256(versions.encode()).hexdigest()[:16]

    def told(self) -> dict[str, Any]:
        """For the campaign's description: all that still holds after the machine's next start."""
        told: dict[str, Any] = MessageToDict(self.description, preserving_proto_field_name=True)
        del told["boot_id"]
        return told | {"isolation": self.launched.isolation, "image_digest": self.launched.image_digest}


def _lasting(description: api.DescribeResponse) -> tuple[Any, ...]:
    """What a runner says of itself without what changes from moment to moment."""
    versions = dict(description.versions)
    return (
        description.runtime,
        description.host_fingerprint,
        description.boot_id,
        description.available_cpus,
        versions,
    )


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
