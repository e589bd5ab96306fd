"""A recurrent Keras network as the attacks on texts ask it."""

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from orchestrator.robustness.words import Floats, Tokens, Victim
from orchestrator.zoo import keras_source

_BATCH = 256


def victim(path: str) -> Victim:
    """The network of the .keras file `path`: an embedding, then layers that end in the probability of class 1."""
    return _Network(keras_source.load(path))


class _Network:
    def __init__(self, model: Any) -> None:
        embedding, *layers = model.layers
        self.embedding: Floats = embedding.get_weights()[0]

        def answers(embedded: tf.Tensor) -> tf.Tensor:
            for layer in layers:
                embedded = layer(embedded, training=False)
            return embedded[:, 0]

        def gradients(tokens: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
            embedded = embedding(tokens)
            with tf.GradientTape() as tape:
                tape.watch(embedded)
                right = answers(embedded)
                loss = -tf.math.log(tf.where(labels == 1, right, 1 - right))
            return tape.gradient(loss, embedded)

        batch, classes = tf.TensorSpec((None, model.input_shape[1]), tf.int32), tf.TensorSpec((None,), tf.int64)
        self._answers = tf.function(lambda tokens: answers(embedding(tokens)), [batch])
        self._gradients = tf.function(gradients, [batch, classes])

    def probabilities(self, tokens: Tokens) -> Floats:
        return np.concatenate([self._answers(part).numpy() for part in _batches(tokens)])

    def gradients(self, tokens: Tokens, labels: NDArray[np.int64]) -> Floats:
        parts = zip(_batches(tokens), _batches(labels), strict=True)
        return np.concatenate([self._gradients(*part).numpy() for part in parts])


def _batches(array: NDArray[Any]) -> list[NDArray[Any]]:
    return [array[start : start + _BATCH] for start in range(0, len(array), _BATCH)]
