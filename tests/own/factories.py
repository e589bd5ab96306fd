"""Functions as people write them to bring a model, and some that go wrong."""

from collections.abc import Iterator
from typing import Any

import numpy as np

BATCHES, BATCH = 3, 4


def two_inputs() -> Any:
    """A torch module of indices and numbers, with two outputs; its inputs by name."""
    import torch

    class Tagger(torch.nn.Module):  # type: ignore[misc]  # torch is not type-checked
        def __init__(self) -> None:
            super().__init__()
            self.embedding = torch.nn.Embedding(50, 8)
            self.classes = torch.nn.Linear(12, 3)

        def forward(self, ids: torch.Tensor, extra: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            hidden = torch.cat([self.embedding(ids).mean(1), extra], 1)
            return self.classes(hidden).softmax(-1), hidden

    torch.manual_seed(0)
    return Tagger(), {"ids": torch.randint(0, 50, (6, 5)), "extra": torch.randn(6, 4)}


def keras_with_data() -> Any:
    """A Keras model and a data set with labels."""
    import keras

    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])

    class Data:
        def __iter__(self) -> Iterator[Any]:
            for index in range(BATCHES):
                yield np.full((BATCH, 4), index, np.float32), np.full(BATCH, index)

    return model, Data()


def keras_with_captured_constants() -> Any:
    """A Keras model with numbers that are no weights, and a convolution that Keras compiles on its own."""
    import keras

    keras.utils.set_random_seed(1)
    layers = [
        keras.layers.Normalization(mean=[0.2, 0.3, 0.1, 0.4], variance=[0.5, 0.6, 0.7, 0.8]),
        keras.layers.Conv2D(4, 3, groups=2),
        keras.layers.GlobalAveragePooling2D(),
    ]
    return keras.Sequential([keras.Input((6, 6, 4)), *layers]), np.random.default_rng(0).random(
        (4, 6, 6, 4), np.float32
    )


def torch_of_open_sizes() -> Any:
    """A torch module that makes something of the number of samples: a class's token and places in front of words."""
    import torch

    class Encoder(torch.nn.Module):  # type: ignore[misc]  # torch is not type-checked
        def __init__(self) -> None:
            super().__init__()
            self.token = torch.nn.Parameter(torch.randn(1, 1, 8))
            self.places = torch.nn.Embedding(7, 8)

        def forward(self, words: torch.Tensor) -> torch.Tensor:
            together = torch.cat([self.token.expand(words.shape[0], -1, -1), words], 1)
            return (together + self.places(torch.arange(together.shape[1]))).reshape(words.shape[0], -1)

    torch.manual_seed(0)
    return Encoder(), torch.randn(4, 6, 8)


def keras_images() -> Any:
    """A small Keras network as people make them for images, and some images."""
    import keras

    keras.utils.set_random_seed(1)
    layers = [
        keras.layers.Conv2D(4, 3, activation="relu"),
        keras.layers.BatchNormalization(),
        keras.layers.MaxPooling2D(),
        keras.layers.Conv2D(6, 3),
        keras.layers.Flatten(),
        keras.layers.Dense(5, activation="softmax"),
    ]
    images = np.random.default_rng(0).random((8, 12, 12, 3), np.float32)
    return keras.Sequential([keras.Input((12, 12, 3)), *layers]), images


def dense_images() -> Any:
    """A torch module with weights enough that their size tells, and probabilities."""
    import torch

    torch.manual_seed(0)
    layers = [torch.nn.Flatten(), torch.nn.Linear(192, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10)]
    return torch.nn.Sequential(*layers, torch.nn.Softmax(-1)), torch.rand(32, 3, 8, 8)


def onnx_alone() -> Any:
    """An ONNX model without inputs beside it."""
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [helper.make_node("Add", ["left", "right"], ["sum"])],
        "sum",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", "width"]) for name in ("left", "right")],
        [helper.make_tensor_value_info("sum", TensorProto.FLOAT, ["n", "width"])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def custom_layer() -> Any:
    """A Keras model with a layer that only this module knows."""
    import keras

    class Mine(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
        def call(self, given: Any) -> Any:
            return given * 2

    return keras.Sequential([keras.Input((4,)), Mine()])


def raises() -> Any:
    """Its weights are not there."""
    raise FileNotFoundError("weights.bin is not here")


def no_model() -> Any:
    """Something else."""
    return "a model"


def torch_alone() -> Any:
    """A module of which nobody knows what it takes."""
    import torch

    return torch.nn.Linear(2, 2)


def savedmodel(folder: str) -> None:
    """Writes a SavedModel with one input and two outputs."""
    import tensorflow as tf

    class Doubler(tf.Module):  # type: ignore[misc]  # TensorFlow has no types
        def __init__(self) -> None:
            super().__init__()
            self.weights = tf.Variable(tf.ones((4, 2)))

        @tf.function(input_signature=[tf.TensorSpec((None, 4), tf.float32, name="given")])  # type: ignore[untyped-decorator]
        def serve(self, given: Any) -> dict[str, Any]:
            return {"doubled": given * 2, "summed": tf.matmul(given, self.weights)}

    model = Doubler()
    tf.saved_model.save(model, folder, signatures={"serving_default": model.serve})
