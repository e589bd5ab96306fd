"""Attacks on source models whose inputs are words; in a process of its own."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.artifacts import JSON
from orchestrator.cases import Attack
from orchestrator.robustness import ATTACKS, neighbours, words
from orchestrator.robustness.chunks import Arrays, in_chunks

_VICTIMS = {"keras": "orchestrator.robustness.keras_words", "pytorch": "orchestrator.robustness.pytorch_words"}


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
    training: str,
) -> dict[str, JSON]:
    """Writes what the attack makes of the texts of the archive `inputs` to the archive `target`, as array `input`.

    See `images.craft` for the arguments; `inputs` are tokens, shape (N, T), and `training` is the archive from whose
    part "train" it is learnt which words are used alike.
    """
    wanted = Attack(**attack)
    with np.load(inputs) as archive:
        tokens = archive["input"]
    victim: words.Victim = importlib.import_module(_VICTIMS[source_framework]).victim(source)
    attacking = _attacking(wanted, victim, training, seed)
    known = np.array(labels)

    def work(part: slice) -> Arrays:
        return {"input": attacking(tokens[part], known[part], part.start)}

    made, crafting_ns = in_chunks(Path(chunks), len(tokens), ATTACKS[wanted.name].chunk, work)
    with Path(target).open("wb") as file:
        np.savez(file, input=made["input"])
    return {"crafting_ns": crafting_ns, "queries": None}


def _attacking(
    wanted: Attack, victim: words.Victim, training: str, seed: int
) -> Callable[[NDArray[Any], NDArray[Any], int], NDArray[Any]]:
    """Tokens, labels and the number of the first one -> attacked tokens."""
    budget, generations = int(wanted.words or 1), int(wanted.iterations or 1)
    if wanted.name == "hotflip":
        return lambda tokens, labels, _start: words.hotflip(victim, tokens, labels, budget)
    with np.load(training) as archive:
        alike = neighbours.learn(archive["train_inputs"], archive["train_labels"], len(victim.embedding))
    return lambda tokens, labels, start: words.alzantot(
        victim, tokens, labels, alike, budget, generations, (seed + start) % 2**32
    )
