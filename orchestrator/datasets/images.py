"""What image data sets have in common: (N, height, width, channels), brought to what a network takes."""

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from orchestrator.datasets import DataSet, Inputs, Samples

_SPLIT_SEED = 0
"""Part of the data sets' definition: the split is the same in every campaign, whatever its seed."""


def prepared(train: Samples, test: Samples, validation: int, source_framework: str, inputs: Inputs) -> DataSet:
    """A published split in the shape and layout that are wanted; `validation` samples are drawn from `train`."""
    train, test = (Samples(_shaped(part.inputs, source_framework, inputs), part.labels) for part in (train, test))
    train, validation_part = _draw(train, validation)
    return DataSet(train, validation_part, test)


def split(samples: Samples, validation: int, test: int, source_framework: str, inputs: Inputs) -> DataSet:
    """Draws that many samples for the test, with the classes' shares kept; the rest as `prepared`."""
    return prepared(*_draw(samples, test), validation, source_framework, inputs)


def _shaped(images: NDArray[np.generic], source_framework: str, inputs: Inputs) -> NDArray[np.generic]:
    height, _, channels = map(int, inputs.split("x"))
    fitted = _with_channels(_with_height(images, height), channels)
    return np.ascontiguousarray(fitted.transpose(0, 3, 1, 2)) if source_framework == "pytorch" else fitted


def _with_height(images: NDArray[np.generic], height: int) -> NDArray[np.generic]:
    """A frame of zeros around smaller images, the middle of larger ones: exact on every machine."""
    missing = height - images.shape[1]
    if missing < 0:
        cut = -missing // 2
        return images[:, cut : cut + height, cut : cut + height]
    before, after = missing // 2, missing - missing // 2
    return np.pad(images, ((0, 0), (before, after), (before, after), (0, 0)))


def _with_channels(images: NDArray[np.generic], channels: int) -> NDArray[np.generic]:
    """Grey is repeated; of colours the green one, which carries most of the brightness, is left."""
    if images.shape[3] > channels:
        return images[..., 1:2]
    return images.repeat(channels // images.shape[3], axis=3)


def _draw(samples: Samples, count: int) -> tuple[Samples, Samples]:
    inputs, drawn, labels, drawn_labels = train_test_split(
        samples.inputs, samples.labels, test_size=count, stratify=samples.labels, random_state=_SPLIT_SEED
    )
    return Samples(inputs, labels), Samples(drawn, drawn_labels)
