"""Attacks on images, on a LeNet of each source framework: what they keep to, what they do, and that they can go on."""

import importlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from numpy.typing import NDArray

from orchestrator import fidelity, isolated
from orchestrator.artifacts import JSON, sha256_of
from orchestrator.cases import Attack, Norm
from orchestrator.errors import CaseFailure, Stage, Symptom
from orchestrator.robustness import AttackEntry
from orchestrator.robustness.crafted import Source
from tests.sources import SEED

TIMEOUT_S = 300.0
FEW = 16
FGSM_01, FGSM_03 = AttackEntry(name="fgsm", samples=60, epsilon=(0.1, 0.3)).attacks()
(PGD_01,) = AttackEntry(name="pgd", samples=60, epsilon=(0.1,)).attacks()
(FGSM_L2,) = AttackEntry(name="fgsm", samples=60, norm="l2", epsilon=(1.0,)).attacks()
(PGD_L2,) = AttackEntry(name="pgd", samples=60, norm="l2", epsilon=(1.0,)).attacks()
(FARTHEST,) = AttackEntry(name="pgd", samples=FEW, epsilon=(1.0,), iterations=2).attacks()
(DEEPFOOL,) = AttackEntry(name="deepfool", samples=FEW).attacks()
(CARLINI_WAGNER,) = AttackEntry(name="carlini-wagner", samples=FEW).attacks()
(HOPSKIPJUMP,) = AttackEntry(name="hopskipjump", samples=FEW).attacks()
(LONG,) = AttackEntry(name="hopskipjump", norm="linf", iterations=2, samples=24).attacks()
"""Of two chunks."""
TWICE = (PGD_L2, DEEPFOOL, HOPSKIPJUMP, LONG)
ATTACKS = (FGSM_01, FGSM_03, PGD_01, FGSM_L2, PGD_L2, FARTHEST, DEEPFOOL, CARLINI_WAGNER, HOPSKIPJUMP, LONG)


@dataclass(frozen=True)
class Made:
    """What attacks made, some of them twice, as files by their labels, and what the source model answers to that."""

    source: Source
    attacked: dict[str, Path]
    again: dict[str, Path]
    queries: dict[str, JSON]

    def answers(self, attack: Attack) -> NDArray[np.int64]:
        """Classes after the attack."""
        with np.load(self.attacked[attack.label].with_name("answers.npz")) as archive:
            return fidelity.classes(archive["output_0"])

    def accuracy(self, attack: Attack) -> float:
        """Of the source model after the attack; before it, all is right."""
        return float((self.answers(attack) == self.source.targets(attack.samples).labels).mean())

    def distances(self, attack: Attack, norm: Norm) -> NDArray[np.float64]:
        """Of what was made from the originals."""
        targets = self.source.targets(attack.samples).artifact.path
        with np.load(targets) as before, np.load(self.attacked[attack.label]) as after:
            changes = (after["input"].astype(np.float64) - before["input"]).reshape(attack.samples, -1)
        distances: NDArray[np.float64] = np.linalg.norm(changes, {"linf": np.inf, "l2": 2}[norm], axis=1)
        return distances


def craft_all(*, framework: str, orders: list[dict[str, Any]]) -> dict[str, JSON]:
    """In a process of its own, as attacks run: one after the other, and the answers to what they make."""
    from orchestrator.robustness import crafting

    module = importlib.import_module(f"orchestrator.zoo.{framework}_source")
    queries: dict[str, JSON] = {}
    for order in orders:
        told = crafting.on_source(source_framework=framework, **order)
        answers = Path(order["target"]).with_name("answers.npz")
        module.answer(source=order["source"], inputs=order["target"], target=str(answers))
        queries[order["attack"]["name"]] = told["queries"]
    return {"queries": queries}


def _craft_all(source: Source, folder: Path, attacks: Sequence[Attack]) -> tuple[dict[str, Path], dict[str, JSON]]:
    orders: list[JSON] = [_order(source, attack, folder / attack.label) for attack in attacks]
    told = isolated.call(
        "tests.robustness.test_attacked_images:craft_all",
        timeout_s=TIMEOUT_S,
        stage=Stage.ATTACK,
        framework=source.origin.source_framework,
        orders=orders,
    )
    queries = told["queries"]
    assert isinstance(queries, dict)
    return {attack.label: folder / attack.label / "made" for attack in attacks}, queries


def _order(source: Source, attack: Attack, folder: Path) -> dict[str, JSON]:
    targets = source.targets(attack.samples)
    return {
        "source": str(source.artifact.path),
        "training": "none, they are images",
        "inputs": str(targets.artifact.path),
        "labels": targets.labels.tolist(),
        "attack": asdict(attack),
        "seed": SEED,
        "chunks": str(folder / "chunks"),
        "target": str(folder / "made"),
    }


@pytest.fixture(scope="module")
def made(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Made:
    folders = [tmp_path_factory.mktemp(name) for name in ("attacked", "again")]
    with ThreadPoolExecutor(2) as pool:
        crafting = pool.map(lambda folder, attacks: _craft_all(source, folder, attacks), folders, (ATTACKS, TWICE))
        (attacked, queries), (again, _) = crafting
    return Made(source, attacked, again, queries)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.label)
def test_attacked_images_stay_inside_the_ball_and_are_images(made: Made, attack: Attack) -> None:
    with np.load(made.attacked[attack.label]) as archive:
        images = archive["input"]
    assert (images.dtype, len(images)) == (np.float32, attack.samples)
    assert 0 <= images.min() <= images.max() <= 1
    distances = made.distances(attack, attack.norm or "l2")
    assert distances.max() > 0
    if attack.epsilon:
        assert distances.max() <= attack.epsilon
        assert distances.max() > 0.99 * min(attack.epsilon, 0.5)  # it goes as far as it may


@pytest.mark.parametrize("attack", TWICE, ids=lambda attack: attack.label)
def test_the_same_attack_makes_the_same_bytes(made: Made, attack: Attack) -> None:
    assert sha256_of(made.attacked[attack.label]) == sha256_of(made.again[attack.label])


def test_only_what_the_source_has_right_is_attacked(source: Source) -> None:
    right = np.flatnonzero(fidelity.classes(source.answers) == source.inputs.labels)[:FEW]
    targets = source.targets(FEW)
    with np.load(source.inputs.path) as archive, np.load(targets.artifact.path) as chosen:
        np.testing.assert_array_equal(chosen["input"], archive["input"][right])
    np.testing.assert_array_equal(targets.labels, source.inputs.labels[right])
    np.testing.assert_array_equal(fidelity.classes(targets.answers), targets.labels)


def test_fgsm_at_three_tenths_leaves_less_than_sixty_percent(made: Made) -> None:
    assert made.accuracy(FGSM_03) < 0.6


@pytest.mark.parametrize(("pgd", "fgsm"), [(PGD_01, FGSM_01), (PGD_L2, FGSM_L2)], ids=["linf", "l2"])
def test_pgd_is_at_least_as_strong_as_fgsm(made: Made, pgd: Attack, fgsm: Attack) -> None:
    assert made.accuracy(pgd) <= made.accuracy(fgsm) < 1


@pytest.mark.parametrize("attack", [DEEPFOOL, CARLINI_WAGNER, HOPSKIPJUMP], ids=lambda attack: attack.label)
def test_attacks_without_a_ball_fool_the_source_with_less(made: Made, attack: Attack) -> None:
    assert made.accuracy(attack) <= 0.1
    assert np.median(made.distances(attack, "l2")) < 0.7 * np.median(made.distances(FGSM_03, "l2"))


def test_only_the_attack_that_asks_counts_its_queries(made: Made) -> None:
    asked = made.queries[LONG.name]
    assert isinstance(asked, int)
    assert 20 < asked / LONG.samples < 1000
    assert {made.queries[attack.name] for attack in ATTACKS} == {asked, None}


@pytest.mark.parametrize("source", ["pytorch"], indirect=True)
def test_an_attack_that_was_killed_goes_on_with_its_next_chunk(source: Source, made: Made) -> None:
    def chunks() -> dict[str, int]:
        return {path.name: path.stat().st_mtime_ns for path in source.cache.root.glob("attacks/*/*.npz")}

    left: dict[str, int] = {}

    def kill(told: str) -> None:
        assert told == "20 of 24"
        left.update(chunks())
        for child in psutil.Process().children():
            with suppress(psutil.NoSuchProcess):
                if "orchestrator.isolated" in " ".join(child.cmdline()):
                    child.kill()

    with pytest.raises(CaseFailure) as raised:
        source.craft(LONG, SEED, TIMEOUT_S, kill)
    assert raised.value.stage is Stage.ATTACK
    assert list(left) == ["000000.npz"]
    assert chunks() == left

    found: list[tuple[str, dict[str, int]]] = []
    attacked = source.craft(LONG, SEED, TIMEOUT_S, lambda told: found.append((told, chunks())))
    assert [told for told, _ in found] == ["20 of 24", "24 of 24"]
    assert found[0][1]["000000.npz"] == left["000000.npz"]
    assert attacked.artifact.sha256 == sha256_of(made.again[LONG.label])
    assert chunks() == {}


@pytest.mark.parametrize("source", ["pytorch"], indirect=True)
def test_a_model_that_is_never_right_cannot_be_attacked(source: Source) -> None:
    wrong = replace(source, answers=np.eye(10, dtype=np.float32)[(source.inputs.labels + 1) % 10])
    with pytest.raises(CaseFailure, match="train it longer") as raised:
        wrong.targets(FEW)
    assert (raised.value.stage, raised.value.symptom) == (Stage.ATTACK, Symptom.REFUSED)
