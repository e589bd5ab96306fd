"""One campaign across two machines, each with an address and a runner of its own behind mutual TLS, and a bad link."""

import hashlib
import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.machines import PORT, Machine, certified, machines, problem
from orchestrator import campaign
from orchestrator.certificates import Authority, orchestrators
from orchestrator.client import RunnerClient
from orchestrator.inventory import Inventory
from orchestrator.launch.process import ProcessLauncher
from orchestrator.plan import make_plan
from orchestrator.progress import Narrator
from orchestrator.results.schema import Row
from orchestrator.suite import Suite
from tests.sources import SEED, TRAINING

SUITE = Suite.model_validate(
    {
        "name": "across",
        "seed": SEED,
        "models": [
            {
                "name": "lenet5",
                "source_frameworks": ["pytorch"],
                "data": "digits",
                "training": TRAINING.model_dump(),
                "test_samples": 100,
            }
        ],
        "formats": ["onnx"],
        "runtimes": ["onnxruntime"],
        "trials": {"timing": 1, "memory": 1},
        "stop_rule": {"min_samples": 10, "min_time_s": 0.1, "max_time_s": 2, "min_undisturbed_samples": 0},
    }
)


@pytest.fixture(scope="module")
def two() -> Iterator[list[Machine]]:
    if (reason := problem()) is not None:
        pytest.skip(reason)
    with machines(2) as made:
        yield made


def at(machine: Machine) -> dict[str, object]:
    return {"name": machine.name, "address": f"{machine.address}:{PORT}"}


def measured(hosts: list[dict[str, object]], folder: Path) -> list[Row]:
    """The rows of the suite on these hosts' `onnxruntime-cpu`."""
    inventory = Inventory.model_validate({"hosts": [{"runners": ["onnxruntime-cpu"]} | host for host in hosts]})
    store = campaign.open_folder(SUITE, inventory, folder)
    with Narrator(Console(file=io.StringIO())) as narrator:
        campaign.run(make_plan(SUITE, inventory), SUITE, inventory, store, ProcessLauncher(), narrator)
    return list(store.rows())


def test_one_campaign_measures_on_both_and_a_bad_link_or_a_missing_host_stops_neither(
    two: list[Machine], authority: Authority, authority_folder: Path, tmp_path: Path
) -> None:
    first, second = two
    ours = orchestrators(authority_folder)
    missing: dict[str, object] = {"name": "missing", "address": "198.18.3.2:1"}
    with (
        first.serving("onnxruntime", certified(first, authority_folder), ours),
        second.serving("onnxruntime", certified(second, authority_folder), ours),
        second.impaired(delay_ms=50, loss_percent=1),
    ):
        rows = measured([*map(at, two), missing], tmp_path / "campaign")
    on_runners = [row for row in rows if row.kind != "artifact"]
    statuses = {(row.host, row.kind, row.status) for row in on_runners}
    kinds = ("check", "timing", "memory")
    assert statuses == {(host, kind, "ok") for host in ("machine1", "machine2") for kind in kinds} | {
        ("missing", kind, "failed") for kind in kinds
    }
    assert {row.isolation for row in on_runners if row.status == "ok"} == {"remote"}


def test_what_a_runner_has_already_does_not_travel_again(
    two: list[Machine], authority: Authority, authority_folder: Path, tmp_path: Path
) -> None:
    machine = two[0]
    artifact = tmp_path / "artifact"
    artifact.write_bytes(os.urandom(5 << 20))
    sha256 = hashlib.sha256(artifact.read_bytes()).hexdigest()
    with (
        machine.serving("null", certified(machine, authority_folder), orchestrators(authority_folder)) as endpoint,
        RunnerClient("null", endpoint) as client,
    ):
        client.put_artifact(artifact, sha256)
        before = machine.received_bytes()
        assert before > 5 << 20
        assert client.put_artifact(artifact, sha256) == 0
        assert machine.received_bytes() - before < 1024
