"""A campaign of one small model on one runner, for whatever may happen to it."""

import contextlib
import io
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import docker
import numpy as np
import pytest
from rich.console import Console

from orchestrator import campaign, upkeep
from orchestrator.artifacts import Artifact, Cache, sha256_of
from orchestrator.cases import ArtifactName, Case
from orchestrator.host import HostRun, Prepared
from orchestrator.inventory import Inventory
from orchestrator.launch import Launcher
from orchestrator.plan import Check, Plan
from orchestrator.preparation import Inputs, Origin
from orchestrator.progress import Narrator
from orchestrator.recorder import Recorder
from orchestrator.results.schema import Row
from orchestrator.results.store import Store
from orchestrator.robustness.crafted import Source
from orchestrator.suite import Suite
from tests.runners import models

SUITE = Suite.model_validate(
    {
        "name": "faults",
        "models": [{"name": "lenet5", "data": "digits"}],
        "runtimes": ["onnxruntime"],
        "trials": {"timing": 4, "memory": 0},
        "stop_rule": {"min_time_s": 0.05, "max_time_s": 0.5, "max_warmup_s": 0.5, "min_undisturbed_samples": 0},
        "trial_timeout_s": 60,
    }
)
NAME = ArtifactName("lenet5", "keras", "onnx", "float32")
SAMPLES = models.inputs(40)


class Heard(Narrator):
    """Calls `fault` before each step, with what is about to be done."""

    def __init__(self, fault: Callable[[str], None]) -> None:
        super().__init__(Console(file=io.StringIO()))
        self._fault = fault
        self.remarks: list[str] = []

    def begin(self, what: str) -> None:
        super().begin(what)
        self._fault(what)

    def remark(self, what: str) -> None:
        super().remark(what)
        self.remarks.append(what)


@dataclass(frozen=True)
class Campaign:
    """In a folder of its own; run it as often as you like."""

    folder: Path
    prepared: Prepared

    def run(
        self,
        inventory: Inventory,
        launcher: Launcher,
        fault: Callable[[str], None] = lambda _what: None,
        suite: Suite = SUITE,
    ) -> list[str]:
        """On the only runner of the only host; gives what people were told."""
        (host,) = inventory.hosts
        (entry,) = host.entries()
        check = Check(NAME, host.name, entry.name, "cpu")
        case = Case(NAME, host.name, entry.name, entry.kind.runtime, "cpu", 2, 1)
        store = campaign.open_folder(suite, inventory, self.folder)
        with Heard(fault) as narrator:
            turns: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
            plan, prepared = Plan((NAME,), (check,), (), (case,)), {NAME: self.prepared}
            HostRun(host, plan, suite, prepared, Recorder(store), launcher, narrator, turns).execute()
        return narrator.remarks

    def rows(self) -> list[Row]:
        """Each of which stands once."""
        rows = list(Store.open(self.folder).rows())
        assert len({row.key for row in rows}) == len(rows)
        return rows

    def carrying(self, content: bytes) -> "Campaign":
        """The same with another artifact."""
        path = self.folder.parent / "another-artifact"
        path.write_bytes(content)
        artifact = replace(self.prepared.artifact, sha256=sha256_of(path), size_bytes=len(content), path=path)
        return replace(self, prepared=replace(self.prepared, artifact=artifact))


@pytest.fixture(scope="module")
def engine() -> Iterator[docker.DockerClient]:
    """A client of this machine's engine."""
    with contextlib.closing(docker.from_env(timeout=300)) as client:
        yield client


@pytest.fixture
def begun(tmp_path: Path) -> Campaign:
    """Not yet run."""
    path, inputs = tmp_path / "model.onnx", tmp_path / "inputs.npz"
    path.write_bytes(models.dense("onnx", tmp_path))
    np.savez(inputs, input=SAMPLES)
    artifact = Artifact(sha256_of(path), path.stat().st_size, "onnx", "float32", path, {})
    found = Inputs("made-up", inputs, sha256_of(inputs), np.zeros(len(SAMPLES), np.int64), {})
    origin = Origin("lenet5", "keras", "digits")
    source = Source(Cache(tmp_path / "cache"), origin, artifact, found, models.answers(SAMPLES))
    return Campaign(tmp_path / "campaign", Prepared(SUITE.models[0], artifact, source, {}))


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is lost for good is waited for a moment only."""
    monkeypatch.setattr(upkeep, "FIRST_PAUSE_S", 0.1)
    monkeypatch.setattr(upkeep, "RETURN_TIMEOUT_S", 3.0)
