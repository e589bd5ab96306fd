"""A Keras image classifier as ART attacks it."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from art.estimators.classification import TensorFlowV2Classifier
from numpy.typing import NDArray

from orchestrator.zoo import keras_source


class _Classifier(TensorFlowV2Classifier):  # type: ignore[misc]  # ART is not type-checked
    """ART's own gradient of a class takes a pass through the network for each class that any of the inputs wants."""

    def class_gradient(
        self, x: NDArray[Any], label: Any = None, training_mode: bool = False, **_: Any
    ) -> NDArray[np.float32]:
        """Of the logits `label`, one for each input, shape (N, 1, ...), or of all logits, shape (N, classes, ...)."""
        images = tf.convert_to_tensor(x)
        classes = np.arange(self.nb_classes) if label is None else np.reshape(label, (1, -1))
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(images)
            logits = self.model(images, training=training_mode)
            # An input has no part in the logits of another: their sum has the gradients of all.
            chosen = [tf.reduce_sum(logits * tf.one_hot(wanted, self.nb_classes)) for wanted in classes]
        return np.stack([tape.gradient(logit, images).numpy() for logit in chosen], axis=1)


def classifier(path: str) -> TensorFlowV2Classifier:
    """Of the .keras file `path`, whose inputs are images in [0, 1]; it answers logits.

    Attacks need the logits: a softmax that is sure of itself has no gradient left (Carlini and Wagner 2017).
    """
    model = keras_source.load(path)
    logits = _without_softmax(model)
    return _Classifier(
        tf.function(lambda images, training: logits(images, training=training), reduce_retracing=True),
        nb_classes=model.output_shape[-1],
        input_shape=model.input_shape[1:],
        loss_object=keras.losses.CategoricalCrossentropy(from_logits=True),
        clip_values=(0.0, 1.0),
    )


def _without_softmax(model: keras.Model) -> keras.Model:
    """The same network with its last activation left out.

    Raises:
        ValueError: its last layer is no dense one with a softmax.
    """
    last = model.layers[-1]
    if not isinstance(last, keras.layers.Dense) or last.activation is not keras.activations.softmax:
        raise ValueError(f"the last layer, {last.name}, is no dense one with a softmax; attack another network")
    head = keras.layers.Dense(last.units, name="logits")
    logits = keras.Model(model.inputs, head(last.input))
    head.set_weights(last.get_weights())
    return logits
