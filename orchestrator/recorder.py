"""Doing a piece of work once and writing down how it ended."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from orchestrator.errors import CaseFailure
from orchestrator.results.schema import Identity, Row
from orchestrator.results.store import Store

ResultT = TypeVar("ResultT")


class Recorder:
    """Appends a row for every piece of work that ends, and knows those that an earlier run of the campaign recorded."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._describing = threading.Lock()
        self._done = {row.key: row.status for row in store.rows()}

    def describe_runners(self, told: dict[str, dict[str, Any]]) -> None:
        """Adds what runners, named `host/runner`, said of themselves to the campaign's description."""
        with self._describing:
            campaign = self.store.campaign
            self.store.describe(campaign.model_copy(update={"runners": campaign.runners | told}))

    def outcome(self, identity: Identity) -> bool | None:
        """What `attempt` returns for work that has its row already, None where there is none."""
        status = self._done.get(identity.key)
        return None if status is None else status != "failed"

    def fail(self, identity: Identity, failure: CaseFailure, **fields: Any) -> bool:
        """Writes down that a piece of work cannot be done; returns as `attempt`."""

        def work() -> dict[str, Any]:
            raise failure

        return self.attempt(identity, work, **fields)

    def attempt(self, identity: Identity, work: Callable[[], dict[str, Any]], **fields: Any) -> bool:
        """Does the work and writes its row: the fields that `work` returns, or the failure that it raises.

        Args:
            identity: what the row is about; work that has its row already is not done again.
            work: returns the row's section and status.
            fields: fields of the row that are known beforehand.

        Returns:
            Whether the row has another status than "failed".
        """
        if (done := self.outcome(identity)) is not None:
            return done
        started_at, start_ns = datetime.now(UTC).isoformat(timespec="milliseconds"), time.perf_counter_ns()
        try:
            outcome = work()
        except CaseFailure as failure:
            outcome = {
                "status": "failed",
                "stage": failure.stage,
                "symptom": failure.symptom,
                "message": failure.message,
            }
        duration_ns = time.perf_counter_ns() - start_ns
        row = Row(**identity.model_dump(), started_at=started_at, duration_ns=duration_ns, **fields, **outcome)
        self.store.append(row)
        self._done[row.key] = row.status
        return row.status != "failed"
