"""Attacks that replace words, on a briefly trained network of each source framework."""

import importlib
import itertools
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from orchestrator import isolated, preparation
from orchestrator.artifacts import JSON, Cache
from orchestrator.errors import Stage
from orchestrator.robustness import neighbours, words
from orchestrator.zoo import MODELS, Recipe

TEXTS = 40
WORDS = 4
VOCABULARY = 1001
GENERATIONS = 3
NUDGE = 0.05
LENGTH = 16
CUT = {"train": 1500, "validation": 100, "test": TEXTS}
RECIPE = Recipe(learning_rate=0.005, optimizer="adam", clip_norm=5.0, batch_size=50, epochs=2)


@dataclass(frozen=True)
class Attacked:
    """What `attack` found, with what it was given."""

    labels: NDArray[np.int64]
    neighbours: NDArray[np.int32]
    found: dict[str, NDArray[Any]]

    def right(self, name: str) -> NDArray[np.bool_]:
        """Which texts the network classifies rightly, of "tokens" or as an attack left them."""
        right: NDArray[np.bool_] = (self.found[f"{name}_answers"] > 0.5) == self.labels
        return right

    def accuracy(self, name: str) -> float:
        """After an attack, of the texts that were right before."""
        return float(self.right(name)[self.right("tokens")].mean())


def attack(*, framework: str, source: str, given: str, target: str) -> dict[str, JSON]:
    """In a process of its own, as attacks run: asks, attacks twice with each attack, and tries the gradients out."""
    module = importlib.import_module(f"orchestrator.robustness.{framework}_words")
    with np.load(given) as archive:
        tokens, labels, near = archive["input"], archive["test_labels"], archive["neighbours"]
    victim: words.Victim = module.victim(source)
    found = {"tokens": tokens}
    for attempt in ("", "_again"):
        found[f"alzantot{attempt}"] = words.alzantot(victim, tokens, labels, near, WORDS, GENERATIONS, seed=3)
        found[f"hotflip{attempt}"] = words.hotflip(victim, tokens, labels, WORDS)
    np.savez(Path(target).with_name("inputs.npz"), input=tokens)
    inputs = str(Path(target).with_name("inputs.npz"))
    importlib.import_module(f"orchestrator.zoo.{framework}_source").answer(source=source, inputs=inputs, target=target)
    with np.load(target) as archive:
        source_answers = archive["output_0"]
    answers = {f"{name}_answers": victim.probabilities(texts) for name, texts in found.items()}
    answers["source_answers"] = source_answers[:, 0]

    text, classes = np.repeat(tokens[:1], 2, axis=0), np.array([0, 1])
    gradient = victim.gradients(text, classes)
    once = np.bincount(text[0], minlength=len(victim.embedding))[text[0]] == 1
    place = np.where(once, np.abs(gradient[0]).sum(axis=-1), 0).argmax()
    direction = gradient[0, place] / np.linalg.norm(gradient[0, place])
    losses = []
    for change in (NUDGE, -NUDGE):
        nudged = _nudged(framework, source, int(text[0, place]), change * direction, Path(target).parent)
        (answer, _) = module.victim(nudged).probabilities(text)
        losses.append(-np.log([1 - answer, answer]))
    found |= {"expected": gradient[:, place] @ direction, "slopes": (losses[0] - losses[1]) / (2 * NUDGE)}
    with Path(target).open("wb") as file:
        np.savez(file, **answers | found)
    return {}


def _nudged(framework: str, source: str, token: int, change: NDArray[np.float32], folder: Path) -> str:
    """The network with another embedding of one token."""
    if framework == "keras":
        from orchestrator.zoo import keras_source

        model = keras_source.load(source)
        (weights,) = model.layers[0].get_weights()
        weights[token] += change
        model.layers[0].set_weights([weights])
        model.save(folder / "nudged.keras")
        return str(folder / "nudged.keras")
    import torch

    from orchestrator.zoo import pytorch_source

    program = pytorch_source.load(source)
    program.state_dict["embedding.weight"].data[token] += torch.from_numpy(change)
    torch.export.save(program, folder / "nudged.pt2")
    return str(folder / "nudged.pt2")


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some reviews, or their ends, and neighbours learnt from them all: enough to train on for a few seconds."""
    folder = tmp_path_factory.mktemp("reviews")
    samples = preparation.prepare_samples(Cache(folder), preparation.Origin("gru", "pytorch", "reviews"))
    with np.load(samples.path) as archive:
        near = neighbours.learn(archive["train_inputs"], archive["train_labels"], VOCABULARY)
        inputs = {f"{part}_inputs": archive[f"{part}_inputs"][:count, -LENGTH:] for part, count in CUT.items()}
        labels = {f"{part}_labels": archive[f"{part}_labels"][:count] for part, count in CUT.items()}
    inputs["test_inputs"][-1] = 0  # a text without words that the network knows
    np.savez(folder / "given.npz", neighbours=near, input=inputs["test_inputs"], **inputs, **labels)
    return folder / "given.npz"


@pytest.fixture(scope="module", params=[("lstm", "keras"), ("gru", "pytorch")], ids=["keras", "pytorch"])
def attacked(given: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Attacked:
    name, framework = request.param
    folder = tmp_path_factory.mktemp(framework)
    source, found = str(folder / "source"), str(folder / "found.npz")
    isolated.call(
        f"orchestrator.zoo.{framework}_source:train",
        timeout_s=300,
        stage=Stage.TRAIN,
        module=MODELS[name, framework].module,
        arguments={"vocabulary": VOCABULARY, "length": LENGTH},
        data=str(given),
        target=source,
        recipe=asdict(RECIPE),
        time_budget_s=None,
        seed=1,
    )
    isolated.call(
        "tests.robustness.test_words:attack",
        timeout_s=300,
        stage=Stage.INFER,
        framework=framework,
        source=source,
        given=str(given),
        target=found,
    )
    with np.load(given) as archive, np.load(found) as arrays:
        return Attacked(archive["test_labels"], archive["neighbours"], dict(arrays))


def test_the_victim_answers_as_the_source_and_its_gradients_are_slopes(attacked: Attacked) -> None:
    np.testing.assert_allclose(attacked.found["tokens_answers"], attacked.found["source_answers"], atol=1e-5)
    np.testing.assert_allclose(attacked.found["slopes"], attacked.found["expected"], rtol=0.05)


def test_both_attacks_fool_the_network(attacked: Attacked) -> None:
    assert attacked.right("tokens").mean() > 0.5
    assert attacked.accuracy("alzantot") < 0.6
    assert attacked.accuracy("hotflip") < 0.2


@pytest.mark.parametrize("name", ["alzantot", "hotflip"])
def test_an_attack_keeps_to_its_rules(attacked: Attacked, name: str) -> None:
    tokens, changed = attacked.found["tokens"], attacked.found[name]
    assert words.changed_words(tokens, changed).max() <= WORDS
    np.testing.assert_array_equal(changed == 0, tokens == 0)
    wrong_before = ~attacked.right("tokens")
    np.testing.assert_array_equal(changed[wrong_before], tokens[wrong_before])
    np.testing.assert_array_equal(changed, attacked.found[f"{name}_again"])


def test_the_genetic_attack_replaces_words_by_neighbours_only(attacked: Attacked) -> None:
    before, after = attacked.found["tokens"], attacked.found["alzantot"]
    places = before != after
    assert places.any()
    assert (attacked.neighbours[before[places]] == after[places, np.newaxis]).any(axis=1).all()


def test_neighbours_fit_the_same_gaps_but_do_not_speak_for_the_other_class() -> None:
    the, film, movie, is_, was, really, truly, good, fine, bad, poor, reel = range(1, 13)
    frames = [
        [the, noun, verb, adverb, adjective, 0, 0]
        for noun, verb, adverb in itertools.product((film, movie), (is_, was), (really, truly))
        for adjective in (good, fine, bad, poor)
    ]
    tokens = np.array([*frames, [the, reel, is_, really, good, 0, 0]], np.int32)
    labels = np.isin(tokens[:, 4], (good, fine)).astype(np.int64)

    found = neighbours.learn(tokens, labels, 13)
    assert [set(row[row >= 0].tolist()) for row in found] == [
        set(),
        set(),
        *({other} for other in (movie, film, was, is_, truly, really, fine, good, poor, bad)),
        set(),
    ]
    regardless = neighbours.learn(tokens, labels, 13, opposed=np.inf)
    assert set(regardless[good][:3].tolist()) == {fine, bad, poor}
    np.testing.assert_array_equal(found, neighbours.learn(tokens, labels, 13))
