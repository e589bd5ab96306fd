"""What image data sets have in common."""

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from orchestrator.datasets import DataSet, Samples

_SPLIT_SEED = 0
"""Part of the data sets' definition: the split is the same in every campaign, whatever its seed."""


def to_layout(images: NDArray[np.float32], source_framework: str) -> NDArray[np.float32]:
    """(N, height, width, channels) as Keras takes it -> (N, channels, height, width) if the framework is PyTorch."""
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2)) if source_framework == "pytorch" else images


def split(samples: Samples, validation: int, test: int) -> DataSet:
    """Draws that many samples for each part, with the classes' shares kept."""
    rest, test_part = _draw(samples, test)
    train, validation_part = _draw(rest, validation)
    return DataSet(train, validation_part, test_part)


def _draw(samples: Samples, count: int) -> tuple[Samples, Samples]:
    inputs, drawn, labels, drawn_labels = train_test_split(
        samples.inputs, samples.labels, test_size=count, stratify=samples.labels, random_state=_SPLIT_SEED
    )
    return Samples(inputs, labels), Samples(drawn, drawn_labels)
