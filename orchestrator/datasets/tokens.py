"""What text data sets have in common: words as ranks (1 is the most common one of the training part), in fixed lengths.

As in the study, Keras networks know every word of the training part and are fed sequences that are padded at the end;
PyTorch networks know the 1,000 most common words and are fed sequences that are padded at the front. Of a longer
sequence both see the beginning. Words that a network does not know are left out; 0 is the padding.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from orchestrator.artifacts import JSON
from orchestrator.datasets import DataSet, Samples

PYTORCH_WORDS = 1000
_SPLIT_SEED = 0

Ranked: TypeAlias = Sequence[Sequence[int]]


def drawn(
    labels: NDArray[np.int64], chosen: NDArray[np.int64], count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of the samples `chosen`, `count` with the classes' shares kept: those that are left, those that are drawn.

    Both are shuffled: where samples are published in the order of their classes, the first of a part are like the rest.
    """
    rest, part = train_test_split(chosen, test_size=count, stratify=labels[chosen], random_state=_SPLIT_SEED)
    return rest, part


def framed(
    ranked: Ranked,
    labels: NDArray[np.int64],
    parts: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
    source_framework: str,
    lengths: dict[str, int],
) -> DataSet:
    """The sequences as a network takes them.

    Args:
        ranked: of all samples.
        labels: of all samples.
        parts: which samples are to learn from, to choose weights by, and to report on.
        source_framework: whose networks are fed.
        lengths: of the sequences, by source framework.
    """
    words = PYTORCH_WORDS if source_framework == "pytorch" else max(max(ranked[index], default=0) for index in parts[0])
    length, at_front = lengths[source_framework], source_framework == "pytorch"

    def samples(part: NDArray[np.int64]) -> Samples:
        inputs = np.zeros((len(part), length), np.int32)
        for row, index in zip(inputs, part, strict=True):
            known = [rank for rank in ranked[index] if rank <= words][:length]
            row[length - len(known) if at_front else 0 :][: len(known)] = known
        return Samples(inputs, labels[part])

    facts: dict[str, JSON] = {"vocabulary": words + 1, "length": length}
    train, validation, test = map(samples, parts)
    return DataSet(train, validation, test, facts)
