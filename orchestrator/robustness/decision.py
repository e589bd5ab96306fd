"""HopSkipJump, which needs to know nothing of a model but the classes that it answers (Chen et al. 2020)."""

from collections.abc import Callable
from functools import partial

import numpy as np
from art.attacks.evasion import HopSkipJump
from art.estimators.classification import BlackBoxClassifier
from numpy.typing import NDArray

from orchestrator.cases import Attack
from orchestrator.robustness.chunks import Arrays
from orchestrator.robustness.lockstep import Array, Counted, side_by_side

QUERY_BATCH_SIZE = 64
POOL_SIZE = 100
_EVALUATIONS_AT_FIRST = 25
_MOST_EVALUATIONS = 100
"""Of a gradient's estimate, which the paper begins with 100 and ends with 10,000: what an attacker gets who may ask a
model a thousand questions about an input."""
_MOST_QUERIES = 500
"""For each iteration and input. On a boundary, answers that depend on the batch could keep the attack for ever."""
_BISECTIONS = 10
_OVERSHOOT = 0.01
"""Of the distance to the boundary."""


class _ExhaustedError(Exception):
    """The attack on one input asked too much."""


def attacking(wanted: Attack, answers: Callable[[Array], Array], images: Array, seed: int) -> Callable[[slice], Arrays]:
    """What makes a part of the images, as `in_chunks` wants it, and how many answers that took."""
    pool = images[:POOL_SIZE]

    def work(part: slice) -> Arrays:
        model = Counted(answers, QUERY_BATCH_SIZE)
        own_seed = (seed + part.start) % 2**32
        made = hopskipjump(model, images[part], pool, str(wanted.norm), int(wanted.iterations or 1), own_seed)
        return {"input": made, "queries": np.array([model.queries])}

    return work


def hopskipjump(model: Counted, inputs: Array, pool: Array, norm: str, iterations: int, seed: int) -> Array:
    """The nearest inputs found that the model puts into another class; of an input where none was found, itself.

    Args:
        model: answers logits or probabilities, shape (N, classes).
        inputs: images in [0, 1], shape (N, ...).
        pool: images in [0, 1], shape (P, ...); the attack on an input begins with the first of another class.
        norm: "linf" or "l2", by which near is measured.
        iterations: gradient estimates per input.
        seed: of the draws.
    """
    np.random.seed(seed)
    answers, of_pool = model(inputs), model(pool).argmax(axis=1)
    classes = answers.argmax(axis=1)
    others = [_first_other(of_pool, own) for own in classes]
    attackable = [index for index, other in enumerate(others) if other is not None]
    attacks = [
        partial(_attack, inputs[index], pool[others[index]], answers.shape[1], norm, iterations) for index in attackable
    ]
    nearest = inputs.copy()
    if attacks:
        found = np.concatenate(side_by_side(attacks, model))
        nearest[attackable] = _drawn_in(model, inputs[attackable], found, classes[attackable])
    return nearest


def _first_other(of_pool: NDArray[np.int64], own: np.int64) -> int | None:
    others = np.flatnonzero(of_pool != own)
    return int(others[0]) if len(others) else None


def _attack(
    image: Array, begin: Array, classes: int, norm: str, iterations: int, ask: Callable[[Array], Array]
) -> Array:
    asked = 0

    def ask_within_limit(images: Array) -> Array:
        nonlocal asked
        asked += len(images)
        if asked > _MOST_QUERIES * iterations:
            raise _ExhaustedError
        return ask(images)

    attack = HopSkipJump(
        BlackBoxClassifier(ask_within_limit, image.shape, classes, clip_values=(0.0, 1.0)),
        batch_size=QUERY_BATCH_SIZE,
        norm={"linf": np.inf, "l2": 2}[norm],
        max_iter=iterations,
        init_eval=_EVALUATIONS_AT_FIRST,
        max_eval=_MOST_EVALUATIONS,
        verbose=False,
    )
    try:
        found: Array = attack.generate(image[np.newaxis], x_adv_init=begin[np.newaxis].copy())
    except _ExhaustedError:
        return begin[np.newaxis]
    return found


def _drawn_in(model: Counted, inputs: Array, found: Array, classes: NDArray[np.int64]) -> Array:
    """Towards the inputs as far as the class stays another one: ART's attack ends with a step away from them.

    What comes out lies a hair beyond the boundary, lest roundings decide about its class.
    """
    nearest = found.copy()
    low, high = np.zeros(len(inputs)), np.ones(len(inputs))
    for _ in range(_BISECTIONS):
        share = (low + high) / 2
        fooled = _move(model, nearest, inputs, found, share, classes)
        low[~fooled], high[fooled] = share[~fooled], share[fooled]
    _move(model, nearest, inputs, found, np.minimum(1, high * (1 + _OVERSHOOT)), classes)
    return nearest


def _move(
    model: Counted,
    nearest: Array,
    inputs: Array,
    found: Array,
    share: NDArray[np.float64],
    classes: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Puts `nearest` where it is that share of the way from the inputs to `found`, if the class is another one there.

    Returns:
        Where it is, shape (N,).
    """
    between = (inputs + share.reshape(-1, *[1] * (inputs.ndim - 1)) * (found - inputs)).astype(inputs.dtype)
    fooled: NDArray[np.bool_] = model(between).argmax(axis=1) != classes
    nearest[fooled] = between[fooled]
    return fooled
