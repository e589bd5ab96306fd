"""The smallest input that still shows a difference: as many of its elements as possible set to nothing. Pure."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Inputs = dict[str, NDArray[Any]]
Differ = Callable[[Inputs], NDArray[np.bool_]]
"""Of a batch of inputs, samples first, which of them show the difference."""

PIECES = 16
ROUNDS = 8


def smallest(sample: Inputs, differ: Differ) -> tuple[Inputs, int]:
    """`sample`, of shape (1, ...) by name, with most elements 0, and how many are left that are not.

    Halves, quarters and so on of what is left are taken away as long as the difference stays (delta debugging: Zeller
    and Hildebrandt, TSE 2002), those that can be taken away alone all at once; `differ` is asked `2 * ROUNDS` times at
    most.
    """
    best = {name: array.copy() for name, array in sample.items()}
    for _ in range(ROUNDS):
        left = [(name, place) for name, array in best.items() for place in np.flatnonzero(array)]
        if not left:
            break
        pieces = [
            [left[index] for index in piece] for piece in np.array_split(np.arange(len(left)), min(PIECES, len(left)))
        ]
        shown = differ(_stacked([_without(best, piece) for piece in pieces]))
        unneeded = [piece for piece, still in zip(pieces, shown, strict=True) if still]
        if not unneeded:
            break
        shares = [len(unneeded) // share for share in (1, 2, 4, 8) if len(unneeded) // share] + [1]
        tries = [_without(best, [place for piece in unneeded[:share] for place in piece]) for share in shares]
        best = tries[int(np.argmax(differ(_stacked(tries))))]
    return best, sum(int(np.count_nonzero(array)) for array in best.values())


def _without(sample: Inputs, places: list[tuple[str, int]]) -> Inputs:
    changed = {name: array.copy() for name, array in sample.items()}
    for name, place in places:
        changed[name].reshape(-1)[place] = 0
    return changed


def _stacked(samples: list[Inputs]) -> Inputs:
    return {name: np.concatenate([sample[name] for sample in samples]) for name in samples[0]}
