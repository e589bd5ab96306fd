"""Two machines beside one, and a runner behind a slow link; the machines are network namespaces with a core each."""

import contextlib
import io
import os
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

from rich.console import Console

from benchmarks.clock import timed
from benchmarks.machines import PORT, Machine, certified, machines, problem
from benchmarks.sides import in_turn, shift
from orchestrator import campaign
from orchestrator.artifacts import Cache, sha256_of
from orchestrator.certificates import ORCHESTRATOR, Authority, orchestrators
from orchestrator.client import RunnerClient
from orchestrator.inventory import Inventory
from orchestrator.launch import Launched
from orchestrator.launch.process import ProcessLauncher
from orchestrator.plan import make_plan
from orchestrator.progress import Narrator
from orchestrator.selftest.place import Place, Subject
from orchestrator.selftest.processes import Process
from orchestrator.selftest.subjects import quick_model
from orchestrator.suite import StopRule, Suite

RUNNERS = {"keras-cpu": "keras", "pytorch-cpu": "pytorch"}
"""Two whose trials take about as long."""
TRIALS = int(os.environ.get("BENCHMARK_HOSTS_TRIALS", "8"))
PAIRS = int(os.environ.get("BENCHMARK_HOSTS_PAIRS", "15"))
DELAY_MS = 50.0
LOSS_PERCENT = 1.0
HIGHEST_SHARE_OF_TIME = 0.6
HIGHEST_SHIFT = 0.02
MOST_BYTES = 1023
_BATCH_SIZE = 32


def run() -> dict[str, Any]:
    """Three figures with their bounds; a reason instead where there can be no such machines."""
    if (reason := problem()) is not None:
        return {"not_run": reason}
    with tempfile.TemporaryDirectory() as folder, machines(2) as made:
        authority = Path(folder) / "certs"
        Authority.create(authority).issue([ORCHESTRATOR])
        certs = {machine: certified(machine, authority) for machine in made}
        return {**_side_by_side(made, certs, Path(folder)), **_behind_a_slow_link(made[0], certs[made[0]])}


def _side_by_side(made: list[Machine], certs: dict[Machine, Path], folder: Path) -> dict[str, Any]:
    """The same campaign with its two runners on one machine and on two, its artifacts made before."""
    first, second = made
    authority = certs[first].parent
    ours = orchestrators(authority)
    with contextlib.ExitStack() as stack:
        for machine, port, runtime in (
            *((first, PORT + index, runtime) for index, runtime in enumerate(RUNNERS.values())),
            (second, PORT, RUNNERS["pytorch-cpu"]),
        ):
            stack.enter_context(machine.serving(runtime, certs[machine], ours, port))
        one = [_host(first, dict(zip(RUNNERS, (PORT, PORT + 1), strict=True)))]
        two = [_host(first, {"keras-cpu": PORT}), _host(second, {"pytorch-cpu": PORT})]
        _campaign(one, authority, folder / "warm", trials=1)
        one_s, two_s = (_campaign(hosts, authority, folder / str(len(hosts)), TRIALS) for hosts in (one, two))
    share = two_s / one_s
    return {
        "one_host_s": one_s,
        "two_hosts_s": two_s,
        "share_of_time": share,
        "share_of_time_bound": HIGHEST_SHARE_OF_TIME,
        "share_of_time_ok": share <= HIGHEST_SHARE_OF_TIME,
    }


def _host(machine: Machine, ports: dict[str, int]) -> dict[str, Any]:
    runners = [{"name": name, "address": f"{machine.address}:{port}"} for name, port in ports.items()]
    return {"name": machine.name, "runners": runners}


def _campaign(hosts: list[dict[str, Any]], authority: Path, folder: Path, trials: int) -> float:
    """Seconds."""
    suite = Suite.model_validate(
        {
            "name": "hosts",
            "seed": 7,
            "models": [{"name": "lenet5", "source_frameworks": ["keras", "pytorch"], "data": "digits"}],
            "formats": ["keras", "pt2"],
            "runtimes": [*RUNNERS.values()],
            "trials": {"timing": trials, "memory": 1},
            "stop_rule": {"min_time_s": 3, "max_time_s": 3},
        }
    )
    inventory = Inventory.model_validate({"hosts": hosts})
    store = campaign.open_folder(suite, inventory, folder)
    known_to_campaigns = mock.patch.dict(os.environ, PORTBENCH_AUTHORITY=str(authority))
    with known_to_campaigns, Narrator(Console(file=io.StringIO())) as narrator:
        plan = make_plan(suite, inventory)
        _, elapsed_s = timed(lambda: campaign.run(plan, suite, inventory, store, ProcessLauncher(), narrator))
    failed = [row.message for row in store.rows() if row.status != "ok"]
    if failed:
        raise RuntimeError(f"a campaign went wrong: {failed[0]}")
    return elapsed_s


def _behind_a_slow_link(machine: Machine, certs: Path) -> dict[str, Any]:
    """Trials in turn without and with the delay, and what the second upload of an artifact sends."""
    subject = quick_model(Cache())
    rule = StopRule(max_time_s=2)
    with (
        machine.serving("onnxruntime", certs, orchestrators(certs.parent)) as endpoint,
        RunnerClient("onnxruntime-cpu", endpoint) as client,
    ):
        place = Place(client, Launched(endpoint, "remote"))

        def measure(delayed: bool) -> Process:
            with machine.impaired(DELAY_MS, LOSS_PERCENT) if delayed else contextlib.nullcontext():
                return place.time(subject, rule, batch_size=_BATCH_SIZE)

        near, far = in_turn(PAIRS, measure)
        sent_bytes = _sent_again(machine, client, subject)
    return {
        "delay_ms": DELAY_MS,
        "loss_percent": LOSS_PERCENT,
        **shift(near, far, HIGHEST_SHIFT),
        "known_artifact_bytes": sent_bytes,
        "known_artifact_bytes_bound": MOST_BYTES,
        "known_artifact_bytes_ok": sent_bytes <= MOST_BYTES,
    }


def _sent_again(machine: Machine, client: RunnerClient, subject: Subject) -> int:
    before = machine.received_bytes()
    client.put_artifact(subject.model, sha256_of(subject.model))
    return machine.received_bytes() - before
