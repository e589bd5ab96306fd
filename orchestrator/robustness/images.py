"""Attacks on source models whose inputs are images, by adversarial-robustness-toolbox."""

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
from art.attacks.evasion import CarliniL2Method, DeepFool, FastGradientMethod, ProjectedGradientDescent

from orchestrator.cases import Attack
from orchestrator.robustness import ATTACKS, decision
from orchestrator.robustness.chunks import Arrays
from orchestrator.robustness.lockstep import Array

_CLASSIFIERS = {"keras": "orchestrator.robustness.keras_images", "pytorch": "orchestrator.robustness.pytorch_images"}
_NORMS = {"linf": np.inf, "l2": 2}
_STEP = 2.5
"""PGD's step, times epsilon over the number of steps: every point of the ball can be reached (Madry et al. 2018)."""
_ROUNDING = float(np.finfo(np.float32).eps)
"""By which a sum in [0, 1] may be off."""
_OVERSHOOT = 0.02
"""Of DeepFool, as in the paper."""
_CONFIDENCE = 0.01
"""By which Carlini and Wagner's wrong logit is to be above the right one, lest roundings decide."""
_SEARCH_STEPS = 5
"""Of Carlini and Wagner's search for the constant that weighs success against distance."""


def attacking(
    wanted: Attack,
    source_framework: str,
    source: str,
    training: str,  # noqa: ARG001 - images need no other images
    images: Array,
    labels: Array,
    seed: int,
) -> Callable[[slice], Arrays]:
    """What makes a part of the images, as `in_chunks` wants it; see `crafting.on_source` for the arguments."""
    classifier = importlib.import_module(_CLASSIFIERS[source_framework]).classifier(source)
    if wanted.name == "hopskipjump":
        return decision.attacking(wanted, classifier.predict, images, seed)
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
        confidence=_CONFIDENCE,
        initial_const=1.0,
        binary_search_steps=_SEARCH_STEPS,
        max_iter=wanted.iterations,
        batch_size=batch_size,
        verbose=False,
    )


def _inside(attacked: Array, images: Array, wanted: Attack) -> Array:
    """As float32 that is in [0, 1] and, where there is an epsilon, in the ball: ART rounds a little beyond it."""
    changes = attacked.astype(np.float32) - images
    if wanted.epsilon is not None and wanted.norm == "linf":
        radius = max(0.0, wanted.epsilon - _ROUNDING)
        changes = np.clip(changes, -radius, radius)
    elif wanted.epsilon is not None:
        radius = max(0.0, wanted.epsilon - _ROUNDING * np.sqrt(images[0].size))
        lengths = np.linalg.norm(changes.reshape(len(changes), -1), axis=1)
        shrinking = np.minimum(1.0, radius / np.maximum(lengths, _ROUNDING)).astype(np.float32)
        changes *= shrinking.reshape(-1, *[1] * (changes.ndim - 1))
    inside: Array = np.clip(images + changes, 0, 1)
    return inside
