"""What each runner of an inventory offers, and what is wrong with those that offer nothing."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

from orchestrator.certificates import Told
from orchestrator.errors import CaseFailure
from orchestrator.inventory import Host, Inventory, RunnerEntry
from orchestrator.launch import Launcher
from orchestrator.live import LiveRunner, bring_up


@dataclass(frozen=True)
class Offer:
    """One runner; with a `problem` the fields below it are empty.

    `health` is what its health service says; `round_trip_ns` is the time of a second Describe, which the runner answers
    from memory; `certificate` is None where it has none.
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
    certificate: Told | None = None


def survey(inventory: Inventory, launcher: Launcher) -> list[Offer]:
    """Starts or reaches every runner, all at once, asks it and lets it go."""
    places = [(host, entry) for host in inventory.hosts for entry in host.entries()]
    with ThreadPoolExecutor(len(places)) as pool:
        return list(pool.map(lambda place: _ask(place[0], place[1], launcher), places))


def _ask(host: Host, entry: RunnerEntry, launcher: Launcher) -> Offer:
    try:
        with ExitStack() as stack:
            runner = bring_up(host, entry, launcher, stack)
            if isinstance(runner, CaseFailure):
                return _nothing(host, entry, runner.message)
            return _offer(host, entry, runner)
    except CaseFailure as failure:
        return _nothing(host, entry, failure.message)


def _offer(host: Host, entry: RunnerEntry, runner: LiveRunner) -> Offer:
    devices = runner.description.devices
    if set(devices).isdisjoint(entry.kind.devices):
        wanted = " or ".join(entry.kind.devices)
        remedy = "is there a GPU, with NVIDIA's driver?" if entry.kind.needs_gpu else "choose another runner"
        return _nothing(host, entry, f"the runner {entry.name} has {', '.join(devices)} there, not {wanted}; {remedy}")
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
        tuple(devices),
        runner.description.available_cpus,
        time.perf_counter_ns() - start,
        runner.launched.certificate,
    )


def _nothing(host: Host, entry: RunnerEntry, problem: str) -> Offer:
    return Offer(host.name, entry.name, problem)
