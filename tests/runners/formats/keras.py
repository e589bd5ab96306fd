"""The dense model as Keras saves it."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.runners.formats._archive import leading_out

__all__ = ["convolution", "dense", "leading_out"]


def dense(folder: Path, batch: int | None, bias: NDArray[np.float32], weights: NDArray[np.float32]) -> bytes:
    """See models.dense."""
    import keras

    model = keras.Sequential(
        [keras.Input(batch_shape=(batch, len(weights))), keras.layers.Dense(weights.shape[1], "relu")]
    )
    model.set_weights([weights, bias])
    return _saved(model, folder)


def convolution(folder: Path, weights: NDArray[np.float32]) -> bytes:
    """See models.convolution; within it channels are the last axis, as TensorFlow wants them."""
    import keras

    channels_out, channels, *kernel = weights.shape
    layers = [
        keras.Input((channels, 32, 32)),
        keras.layers.Permute((2, 3, 1)),
        keras.layers.Conv2D(channels_out, kernel, padding="same", use_bias=False),
        keras.layers.Permute((3, 1, 2)),
    ]
    model = keras.Sequential(layers)
    model.set_weights([weights.transpose(2, 3, 1, 0)])
    return _saved(model, folder)


def _saved(model: Any, folder: Path) -> bytes:
    model.save(folder / "model.keras")
    return (folder / "model.keras").read_bytes()
