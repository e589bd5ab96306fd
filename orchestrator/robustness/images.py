"""Attacks on source models whose inputs are images, by adversarial-robustness-toolbox; in a process of its own."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from art.attacks.evasion import CarliniL2Method, DeepFool, FastGradientMethod, ProjectedGradientDescent

from orchestrator.artifacts import JSON
from orchestrator.cases import Attack
from orchestrator.robustness import ATTACKS, decision
from orchestrator.robustness.chunks import Arrays, in_chunks
from orchestrator.robustness.lockstep import Array

_CLASSIFIERS = {"keras": "orchestrator.robustness.keras_images", "pytorch": "orchestrator.robustness.pytorch_images"}
_NORMS = {"linf": np.inf, "l2": 2}
_STEP = 2.5
"""PGD's step, times epsilon over the number of steps: every point of the ball can be reached (Madry et al. 2018)."""
_ROUNDING = float(np.finfo(np.float32).eps)
"""By which a sum in [0, 1] may be off."""
_OVERSHOOT = 0.02
"""Of DeepFool, as in the paper."""
_SEARCH_STEPS = 5
"""Of Carlini and Wagner's search for the constant that weighs success against distance."""


def craft(
    *,
    source_framework: str,
    source: str,
    inputs: str,
    labels: list[int],
    attack: dict[str, Any],
    seed: int,
    chunks: str,
    target: str,
    training: str,  # noqa: ARG001 - images need no other images
) -> dict[str, JSON]:
    """Writes what the attack makes of the images of the archive `inputs` to the archive `target`, as array `input`.

    Args:
        source_framework: of the model.
        source: path of the model in its source framework's format.
        inputs: path; images in [0, 1], shape (N, ...).
        labels: the right classes, which the model answers.
        attack: the fields of an `Attack`.
        seed: of the draws.
        chunks: folder for what is finished, see `in_chunks`.
        target: path.
        training: path of the data set's archive.

    Returns:
        `crafting_ns`, and `queries` to the model, None unless the attack counts them.
    """
    wanted = Attack(**attack)
    with np.load(inputs) as archive:
        images = archive["input"]
    classifier = importlib.import_module(_CLASSIFIERS[source_framework]).classifier(source)
    attacking = _decisions(classifier, images, wanted, seed) if wanted.name == "hopskipjump" else None
    attacking = attacking or _gradients(classifier, images, np.array(labels), wanted)
    made, crafting_ns = in_chunks(Path(chunks), len(images), ATTACKS[wanted.name].chunk, attacking)
    with Path(target).open("wb") as file:
        np.savez(file, input=made["input"])
    return {"crafting_ns": crafting_ns, "queries": int(made["queries"].sum()) if "queries" in made else None}


def _gradients(classifier: Any, images: Array, labels: Array, wanted: Attack) -> Callable[[slice], Arrays]:
    attack = _with_gradients(classifier, wanted)

    def work(part: slice) -> Arrays:
        attacked = attack.generate(images[part], np.eye(classifier.nb_classes, dtype=np.float32)[labels[part]])
        return {"input": _inside(attacked, images[part], wanted)}

    return work


def _with_gradients(classifier: Any, wanted: Attack) -> Any:
    """ART's attack with the papers' settings."""
    batch_size = ATTACKS[wanted.name].chunk
    if wanted.name == "fgsm":
        return FastGradientMethod(classifier, _NORMS[str(wanted.norm)], wanted.epsilon, batch_size=batch_size)
    if wanted.name == "pgd":
        return ProjectedGradientDescent(
            classifier,
            _NORMS[str(wanted.norm)],
            wanted.epsilon,
            eps_step=_STEP * float(wanted.epsilon or 0) / int(wanted.iterations or 1),
            max_iter=wanted.iterations,
            batch_size=batch_size,
            verbose=False,
        )
    if wanted.name == "deepfool":
        return DeepFool(classifier, wanted.iterations, epsilon=_OVERSHOOT, batch_size=batch_size, verbose=False)
    return CarliniL2Method(
        classifier,
        initial_const=1.0,
        binary_search_steps=_SEARCH_STEPS,
        max_iter=wanted.iterations,
        batch_size=batch_size,
        verbose=False,
    )


def _decisions(classifier: Any, images: Array, wanted: Attack, seed: int) -> Callable[[slice], Arrays]:
    return lambda part: decision.attacked(classifier.predict, images, part, wanted, seed)


def _inside(attacked: Array, images: Array, wanted: Attack) -> Array:
    """As float32 that is in [0, 1] and, where there is an epsilon, in the ball: ART rounds a little beyond it."""
    changes = attacked.astype(np.float32) - images
    if wanted.epsilon is not None and wanted.norm == "linf":
        radius = wanted.epsilon - _ROUNDING
        changes = np.clip(changes, -radius, radius)
    elif wanted.epsilon is not None:
        radius = wanted.epsilon - _ROUNDING * np.sqrt(images[0].size)
        lengths = np.linalg.norm(changes.reshape(len(changes), -1), axis=1)
        shrinking = np.minimum(1.0, radius / np.maximum(lengths, _ROUNDING)).astype(np.float32)
        changes *= shrinking.reshape(-1, *[1] * (changes.ndim - 1))
    inside: Array = np.clip(images + changes, 0, 1)
    return inside
