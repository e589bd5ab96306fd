"""Attacked inputs: chosen, made on the source model once, cached, with what the source model answers to them."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orchestrator import fidelity, preparation
from orchestrator.artifacts import JSON, Artifact, Cache, key_of
from orchestrator.cases import Attack
from orchestrator.errors import CaseFailure, Stage, Symptom
from orchestrator.preparation import Inputs, Origin, sha256_of_module, source_answers, versions_of
from orchestrator.robustness import ATTACKS
from orchestrator.robustness.chunks import forget
from orchestrator.workplace import BUILD_HOST, Files, Workplace

_SHARED = ("crafting", "images", "keras_images", "pytorch_images", "decision", "lockstep", "chunks")
_SHARED_BY_TEXTS = ("crafting", "texts", "words", "neighbours", "keras_words", "pytorch_words", "chunks")
_MODULES = {"images": _SHARED, "tokens": _SHARED_BY_TEXTS}
_DISTRIBUTIONS = {"keras": ("keras", "tensorflow"), "pytorch": ("torch",)}


@dataclass(frozen=True)
class Targets:
    """Test inputs that are attacked: an .npz archive with the array `input`, samples first.

    `labels`, shape (samples,), are the right classes, which the source model answers; `answers` are its answers.
    """

    artifact: Artifact
    labels: NDArray[np.int64]
    answers: NDArray[np.floating]


@dataclass(frozen=True)
class Attacked:
    """What an attack made of the `targets`, in their order, and the source model's `answers` to that.

    `details` has `crafting_ns`, the time that the attack took, and `queries`, the answers that it asked for, None where
    it does not count them.
    """

    targets: Targets
    artifact: Artifact
    answers: NDArray[np.floating]
    details: dict[str, JSON]


@dataclass(frozen=True)
class Source:
    """A trained network in its source framework's format, its test inputs and its own answers to them."""

    cache: Cache
    origin: Origin
    artifact: Artifact
    inputs: Inputs
    answers: NDArray[np.floating]

    @property
    def outputs(self) -> tuple[NDArray[np.floating], ...]:
        """The answers, its only output."""
        return (self.answers,)

    def targets(self, samples: int) -> Targets:
        """The first `samples` test inputs that it classifies rightly, texts without a known word left out.

        Raises:
            CaseFailure: (attack) there is none.
        """
        with np.load(self.inputs.path) as archive:
            inputs = archive["input"]
        changeable = inputs.reshape(len(inputs), -1).any(axis=1)
        right = np.flatnonzero(changeable & (fidelity.classes(self.answers) == self.inputs.labels))[:samples]
        if not len(right):
            message = (
                "the source model classifies no test input rightly, so there is nothing to attack; train it longer"
            )
            raise CaseFailure(Stage.ATTACK, Symptom.REFUSED, message)

        def make(target: Path) -> dict[str, JSON]:
            with target.open("wb") as file:
                np.savez(file, input=inputs[right])
            return {}

        key = key_of("targets", self.inputs.sha256, right.tolist())
        chosen = self.cache.once(key, "npz", "float32", make)
        return Targets(chosen, self.inputs.labels[right], self.answers[right])

    def attacked(self, targets: Targets, made: Artifact, place: Workplace = BUILD_HOST) -> Attacked:
        """What an attack made, with the answers to it, asked for at `place`.

        Raises:
            CaseFailure: (infer) the model could not be asked.
        """
        answers = source_answers(self.cache, self.artifact, self.origin.source_framework, made, place)
        return Attacked(targets, made, next(iter(answers.values())), made.details)

    def craft(
        self,
        attack: Attack,
        seed: int,
        timeout_s: float,
        on_told: Callable[[str], None],
        place: Workplace = BUILD_HOST,
    ) -> Attacked:
        """Runs `attack` at `place` against the model itself; `on_told` hears how far it is.

        What is finished of an attack that is cut off lies in the cache's folder "attacks" until it goes on.

        Raises:
            CaseFailure: (attack) it failed; (train) the data set that it learns from cannot be had.
        """
        framework, kind = self.origin.source_framework, ATTACKS[attack.name]
        targets, samples = self.targets(attack.samples), preparation.prepare_samples(self.cache, self.origin)
        key = key_of(
            "attack",
            [sha256_of_module(f"{__package__}.{name}") for name in _MODULES[kind.takes]],
            versions_of(("adversarial-robustness-toolbox", *_DISTRIBUTIONS[framework])),
            self.artifact.sha256,
            samples.sha256 if kind.takes == "tokens" else None,
            targets.artifact.sha256,
            asdict(attack),
            seed,
        )
        chunks = self.cache.root / "attacks" / key

        def make(target: Path) -> dict[str, JSON]:
            return place.call(
                "orchestrator.robustness.crafting:on_source",
                files=Files(
                    {"source": self.artifact.path, "inputs": targets.artifact.path, "training": samples.path},
                    {"target": target},
                    {"chunks": chunks},
                ),
                timeout_s=timeout_s,
                stage=Stage.ATTACK,
                on_told=on_told,
                source_framework=framework,
                labels=targets.labels.tolist(),
                attack=asdict(attack),
                seed=seed,
            )

        made = self.cache.once(key, "npz", "float32", make)
        forget(chunks)
        return self.attacked(targets, made, place)
