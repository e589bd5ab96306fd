"""What each runner of an inventory offers, and what is wrong with those that offer nothing."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from orchestrator.client import RunnerClient
from orchestrator.errors import CaseFailure
from orchestrator.inventory import Inventory, RunnerEntry
from orchestrator.launch import Launcher, reach


@dataclass(frozen=True)
class Offer:
    """One runner; with a `problem` the fields below it are empty.

    `round_trip_ns` is the time of a second Describe, which the runner answers from memory.
    """

    host: str
    runner: str
    problem: str | None
    isolation: str | None = None
    versions: dict[str, str] | None = None
    devices: tuple[str, ...] = ()
    available_cpus: int | None = None
    round_trip_ns: int | None = None


def survey(inventory: Inventory, launcher: Launcher) -> list[Offer]:
    """Starts or reaches every runner, all at once, asks it and lets it go."""
    places = [(host.name, entry) for host in inventory.hosts for entry in host.entries()]
    with ThreadPoolExecutor(len(places)) as pool:
        return list(pool.map(lambda place: _ask(place[0], place[1], launcher), places))


def _ask(host: str, entry: RunnerEntry, launcher: Launcher) -> Offer:
    try:
        with reach(entry, launcher) as launched, RunnerClient(entry.name, launched.target) as client:
            description = client.describe()
            start = time.perf_counter_ns()
            client.describe()
            return Offer(
                host,
                entry.name,
                None,
                launched.isolation,
                dict(description.versions),
                tuple(description.devices),
                description.available_cpus,
                time.perf_counter_ns() - start,
            )
    except CaseFailure as failure:
        return Offer(host, entry.name, failure.message)
