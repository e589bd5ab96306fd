"""Attacks on source models whose inputs are words."""

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.cases import Attack
from orchestrator.robustness import neighbours, words
from orchestrator.robustness.chunks import Arrays

_VICTIMS = {"keras": "orchestrator.robustness.keras_words", "pytorch": "orchestrator.robustness.pytorch_words"}


def attacking(
    wanted: Attack,
    source_framework: str,
    source: str,
    training: str,
    tokens: NDArray[Any],
    labels: NDArray[Any],
    seed: int,
) -> Callable[[slice], Arrays]:
    """What makes a part of the texts, as `in_chunks` wants it; see `crafting.on_source` for the arguments.

    From the part "train" of the archive `training` it is learnt which words are used alike.
    """
    victim: words.Victim = importlib.import_module(_VICTIMS[source_framework]).victim(source)
    budget, generations = int(wanted.words or 1), int(wanted.iterations or 1)
    if wanted.name == "hotflip":
        return lambda part: {"input": words.hotflip(victim, tokens[part], labels[part], budget)}
    with np.load(training) as archive:
        alike = neighbours.learn(archive["train_inputs"], archive["train_labels"], len(victim.embedding))

    def work(part: slice) -> Arrays:
        own_seed = (seed + part.start) % 2**32
        attacked = words.alzantot(victim, tokens[part], labels[part], alike, budget, generations, own_seed)
        return {"input": attacked}

    return work
