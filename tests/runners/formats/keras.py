"""The dense model as Keras saves it."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.runners.formats._archive import leading_out

__all__ = ["dense", "leading_out"]


def dense(folder: Path, batch: int | None, bias: NDArray[np.float32], weights: NDArray[np.float32]) -> bytes:
    """See models.dense."""
    import keras

    model = keras.Sequential(
        [keras.Input(batch_shape=(batch, len(weights))), keras.layers.Dense(weights.shape[1], "relu")]
    )
    model.set_weights([weights, bias])
    model.save(folder / "model.keras")
    return (folder / "model.keras").read_bytes()
