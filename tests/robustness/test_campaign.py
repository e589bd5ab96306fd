"""Attacks in real campaigns with runners as processes: whole ones, and with runners that die in the middle."""

import io
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from orchestrator import campaign, preparation
from orchestrator.artifacts import Cache
from orchestrator.cases import ArtifactName, Attack
from orchestrator.host import HostRun, Prepared
from orchestrator.inventory import load_inventory
from orchestrator.launch.process import ProcessLauncher
from orchestrator.plan import Check, Plan, Replay, make_plan
from orchestrator.progress import Narrator
from orchestrator.recorder import Recorder
from orchestrator.results.schema import AttackSection, Row
from orchestrator.robustness import AttackEntry
from orchestrator.suite import Suite
from tests.robustness.conftest import SourceOf
from tests.sources import SEED, TRAINING

SUITE = {
    "name": "attacked",
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
    "formats": ["pt2", "onnx", "coreml"],
    "runtimes": ["pytorch", "onnxruntime", "coreml-reference"],
    "trials": {"timing": 0, "memory": 0},
    "attacks": [
        {"name": "fgsm", "samples": 60, "epsilon": [0.1, 0.3]},
        {"name": "hopskipjump", "samples": 4, "iterations": 1, "against": ["runner"]},
    ],
}
LABELS = ["fgsm-linf-0.1", "fgsm-linf-0.3", "hopskipjump-l2-runner"]
ARTIFACTS = [("pt2", "float32"), ("onnx", "float32"), ("coreml", "float32")]

(REPLAYED,) = AttackEntry(name="fgsm", samples=60, epsilon=(0.1,)).attacks()
ON_RUNNER, ON_RUNNER_LINF = (
    AttackEntry(name="hopskipjump", norm=norm, samples=40, against=("runner",)).attacks()[0] for norm in ("l2", "linf")
)
"""Of two chunks."""


@dataclass(frozen=True)
class Done:
    """A campaign's folder, its rows and those after a second run."""

    folder: Path
    rows: list[Row]
    again: list[Row]

    def attacks(self, label: str) -> dict[tuple[str, str], AttackSection]:
        """What an attack found, by format and precision."""
        rows = [row for row in self.rows if row.attack == label]
        return {(row.format, row.precision): row.robustness for row in rows if row.robustness}


@pytest.fixture(scope="module")
def done(source_of: SourceOf, cache: Cache, tmp_path_factory: pytest.TempPathFactory) -> Done:
    source_of("pytorch")
    suite, folder = Suite.model_validate(SUITE), tmp_path_factory.mktemp("attacked") / "campaign"
    inventory = load_inventory(None, suite.runtimes)
    found = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PORTBENCH_CACHE", str(cache.root))
        for _ in range(2):
            store = campaign.open_folder(suite, inventory, folder)
            with Narrator(Console(file=io.StringIO())) as narrator:
                plan = make_plan(suite, inventory)
                campaign.run(plan, suite, inventory, store, ProcessLauncher(), narrator)
            found.append(list(store.rows()))
    return Done(folder, *found)


def test_every_artifact_has_a_row_for_each_attack(done: Done) -> None:
    rows = [row for row in done.rows if row.kind == "attack"]
    assert [row.status for row in rows] == ["ok"] * len(rows), [row.message for row in rows]
    assert sorted((row.format, row.precision, row.attack) for row in rows) == sorted(
        (*artifact, label) for artifact in ARTIFACTS for label in LABELS
    )
    assert [row for row in done.rows if row.status == "failed"] == []


def test_nothing_of_finished_attacks_is_left_and_none_is_done_again(done: Done) -> None:
    assert sorted(path.name for path in done.folder.iterdir()) == ["campaign.json", "trials.jsonl"]
    assert done.again == done.rows


@pytest.mark.parametrize("label", ["fgsm-linf-0.1", "fgsm-linf-0.3"])
def test_a_faithful_conversion_is_as_vulnerable_as_its_source(done: Done, label: str) -> None:
    found = done.attacks(label)
    for artifact in ARTIFACTS:
        section = found[artifact]
        assert section.label_agreement >= 0.99
        assert section.scored == section.samples == 60
        assert section.wrong_low <= section.wrong / section.scored <= section.wrong_high
        assert section.batch_invariant
        assert section.queries is section.queries_per_s is None
    assert found["onnx", "float32"].mcnemar_p == 1
    assert len({section.attacked_sha256 for section in found.values()}) == 1


def test_the_stronger_attack_leaves_less_than_sixty_percent_after_conversion_too(done: Done) -> None:
    weaker, stronger = done.attacks("fgsm-linf-0.1"), done.attacks("fgsm-linf-0.3")
    for artifact in ARTIFACTS:
        assert stronger[artifact].wrong > 0.4 * stronger[artifact].scored
        assert 0 < weaker[artifact].wrong < stronger[artifact].wrong
        assert max(stronger[artifact].distances) <= 0.3


def test_an_attack_on_a_runner_fools_the_artifact_there_and_counts_its_queries(done: Done) -> None:
    for section in done.attacks("hopskipjump-l2-runner").values():
        assert section.wrong == section.scored == section.samples == 4
        assert section.queries
        assert section.queries_per_s == pytest.approx(section.queries * 1e9 / section.crafting_ns)
        assert 20 < section.queries / section.samples < 500


class Killing(Narrator):
    """Kills a process with that word in its command when an attack on a runner has finished its first chunk, as often
    as `when` agrees to the name of the attack."""

    def __init__(self, word: str, when: Callable[[str], bool]) -> None:
        super().__init__(Console(file=io.StringIO()))
        self._word = word
        self._when = when
        self._others = set(psutil.Process().children(recursive=True))

    def begin(self, what: str) -> None:
        """Here an attack tells how far it is."""
        super().begin(what)
        if what.endswith(", 20 of 40") and self._when(what):
            deadline = time.monotonic() + 30
            while not _kill_children(self._word, self._others):
                assert time.monotonic() < deadline
                time.sleep(0.01)


def _kill_children(word: str, others: set[psutil.Process]) -> int:
    """Ends processes below this one with that word in their commands, but no others; returns how many there were."""
    found = 0
    for child in set(psutil.Process().children(recursive=True)) - others:
        with suppress(psutil.NoSuchProcess):
            if word in child.cmdline():
                child.kill()
                found += 1
    return found


@dataclass(frozen=True)
class Survived:
    """What became of attacks on a runner, by label, and the chunks that were kept of each."""

    rows: dict[str | None, Row]
    chunks: dict[str | None, list[str]]


def _attacked(source_of: SourceOf, cache: Cache, folder: Path, attacks: list[Attack], narrator: Narrator) -> Survived:
    """The LeNet as ONNX on its runner."""
    source = source_of("pytorch")
    suite = Suite.model_validate(SUITE | {"formats": ["onnx"], "runtimes": ["onnxruntime"]})
    inventory = load_inventory(None, suite.runtimes)
    (host,) = inventory.hosts
    name = ArtifactName("lenet5", "pytorch", "onnx", "float32")
    artifact = preparation.convert(cache, source.artifact, "pytorch", "onnx", "float32")
    replayed = source.craft(REPLAYED, SEED, 300, lambda _told: None)
    prepared = Prepared(suite.models[0], artifact, source, {REPLAYED: replayed})
    check = Check(name, host.name, "onnxruntime-cpu", "cpu")
    plan = Plan((name,), (check,), tuple(Replay(check, attack) for attack in attacks), ())
    store = campaign.open_folder(suite, inventory, folder)
    with narrator:
        turns: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        run = HostRun(host, plan, suite, {name: prepared}, Recorder(store), ProcessLauncher(), narrator, turns)
        run.execute()
    rows = {row.attack: row for row in store.rows()}
    kept = {label: sorted(folder.glob(f"unfinished-{row.key}/*.npz")) for label, row in rows.items()}
    return Survived(rows, {label: [path.name for path in paths] for label, paths in kept.items()})


def test_a_worker_that_dies_is_asked_once_more_and_the_attacks_behind_it_go_on(
    source_of: SourceOf, cache: Cache, tmp_path: Path
) -> None:
    begun: list[str] = []

    def once_or_always(what: str) -> bool:
        begun.append(what)
        return ON_RUNNER_LINF.label in what or len(begun) == 1

    attacks = [ON_RUNNER, ON_RUNNER_LINF, REPLAYED]
    narrator = Killing("runners.worker", once_or_always)
    found = _attacked(source_of, cache, tmp_path / "campaign", attacks, narrator)
    assert [ON_RUNNER.label in what for what in begun] == [True, True, False, False]

    once = found.rows[ON_RUNNER.label]
    assert once.status == "ok", once.message
    assert once.robustness
    assert once.robustness.wrong == once.robustness.scored
    assert found.chunks[ON_RUNNER.label] == []

    always = found.rows[ON_RUNNER_LINF.label]
    assert (always.status, always.symptom) == ("failed", "out-of-memory"), always.message
    assert always.stage in ("load", "infer")
    assert "SIGKILL" in str(always.message)
    assert found.chunks[ON_RUNNER_LINF.label] == ["000000.npz"]

    assert [found.rows[label].status for label in (None, REPLAYED.label)] == ["ok", "ok"]


def test_a_runner_that_dies_is_started_again_and_the_attacks_go_on(
    source_of: SourceOf, cache: Cache, tmp_path: Path
) -> None:
    attacks = [REPLAYED, ON_RUNNER, ON_RUNNER_LINF]
    begun: list[str] = []

    def once(what: str) -> bool:
        begun.append(what)
        return len(begun) == 1

    narrator = Killing("runners", once)
    found = _attacked(source_of, cache, tmp_path / "campaign", attacks, narrator)
    assert set(found.rows) == {None, *(attack.label for attack in attacks)}
    assert {row.status for row in found.rows.values()} == {"ok"}
    assert found.chunks[ON_RUNNER.label] == []
