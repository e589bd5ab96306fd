"""The data sets. Adding one is a module with `load(source_framework, inputs, files) -> DataSet` and a row here."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from orchestrator.artifacts import JSON

Inputs = Literal["28x28x1", "32x32x3", "tokens"]
"""What a network takes: images of that height, width and number of channels, or token sequences."""


@dataclass(frozen=True)
class Samples:
    """`inputs` in the layout that one source framework takes, samples along the first axis; `labels` are classes.

    Images are float32 in [0, 1], or uint8 where 255 stands for 1; tokens are int32.
    """

    inputs: NDArray[np.generic]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class DataSet:
    """Three parts without a common sample: to learn from, to choose weights by, and to report on.

    `facts` are what else there is to know; of token sequences the `vocabulary` and the `length`.
    """

    train: Samples
    validation: Samples
    test: Samples
    facts: dict[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True)
class DataSetEntry:
    """`module` has `load`.

    The study's schedules count epochs of 40,000 samples or more: on a far smaller set the learning rate has decayed
    before anything is learnt. There batches are divided by `batch_divisor`, which gives as many more steps an epoch,
    and learning rates by `rate_divisor`, because smaller batches are noisier.
    """

    module: str
    inputs: tuple[Inputs, ...] = ("28x28x1", "32x32x3")
    batch_divisor: int = 1
    rate_divisor: int = 1


def scaled(inputs: NDArray[np.generic]) -> NDArray[np.generic]:
    """What a network is fed: bytes become float32 in [0, 1], other arrays stay as they are.

    That is all the preprocessing there is, for every network, so that a change of an input means the same to all.
    """
    return inputs.astype(np.float32) / np.float32(255) if inputs.dtype == np.uint8 else inputs


DATASETS = {
    # By trial over 13 seeds: PyTorch's LeNet-5 then reads 95.8 to 98.3 % of the test digits, else often below 95 %.
    "digits": DataSetEntry("orchestrator.datasets.digits", batch_divisor=8, rate_divisor=4),
    "mnist": DataSetEntry("orchestrator.datasets.mnist"),
    "fashion-mnist": DataSetEntry("orchestrator.datasets.fashion_mnist"),
    "cifar10": DataSetEntry("orchestrator.datasets.cifar10"),
    "reviews": DataSetEntry("orchestrator.datasets.reviews", ("tokens",)),
    "imdb": DataSetEntry("orchestrator.datasets.imdb", ("tokens",)),
}
