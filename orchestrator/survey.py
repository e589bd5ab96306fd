"""What each runner of an inventory offers, and what is wrong with those that offer nothing."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime

from orchestrator.errors import CaseFailure
from orchestrator.inventory import Host, Inventory, RunnerEntry
from orchestrator.launch import Launcher
from orchestrator.live import LiveRunner, bring_up


@dataclass(frozen=True)
class Offer:
    """One runner; with a `problem` the fields below it are empty.

    `health` is what its health service says; `round_trip_ns` is the time of a second Describe, which the runner answers
    from memory; `certificate_ends` is until when its certificate is valid, None where it has none.
    """

    host: str
    runner: str
    problem: str | None
    health: str | None = None
    isolation: str | None = None
    versions: dict[str, str] | None = None
    devices: tuple[str, ...] = ()
    available_cpus: int | None = None
    round_trip_ns: int | None = None
    certificate_ends: datetime | None = None


def survey(inventory: Inventory, launcher: Launcher) -> list[Offer]:
    """Starts or reaches every runner, all at once, asks it and lets it go."""
    places = [(host, entry) for host in inventory.hosts for entry in host.entries()]
    with ThreadPoolExecutor(len(places)) as pool:
        return list(pool.map(lambda place: _ask(place[0], place[1], launcher), places))


def _ask(host: Host, entry: RunnerEntry, launcher: Launcher) -> Offer:
    try:
        with ExitStack() as stack:
            runner = bring_up(host, entry, launcher, stack)
            return _offer(host, entry, runner) if isinstance(runner, LiveRunner) else _nothing(host, entry, runner)
    except CaseFailure as failure:
        return _nothing(host, entry, failure)


def _offer(host: Host, entry: RunnerEntry, runner: LiveRunner) -> Offer:
    health = runner.client.health()
    start = time.perf_counter_ns()
    runner.client.describe()
    return Offer(
        host.name,
        entry.name,
        None,
        health,
        runner.launched.isolation,
        dict(runner.description.versions),
        tuple(runner.description.devices),
        runner.description.available_cpus,
        time.perf_counter_ns() - start,
        runner.launched.certificate_ends,
    )


def _nothing(host: Host, entry: RunnerEntry, failure: CaseFailure) -> Offer:
    return Offer(host.name, entry.name, failure.message)
