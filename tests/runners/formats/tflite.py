"""The dense model as TensorFlow converts it for LiteRT."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def dense(folder: Path, batch: int | None, bias: NDArray[np.float32], weights: NDArray[np.float32]) -> bytes:
    """See models.dense."""
    import tensorflow as tf

    def compute(x: tf.Tensor) -> dict[str, tf.Tensor]:
        affine = x @ weights + bias
        return {"y": (affine + tf.abs(affine)) / 2}  # LiteRT's own ReLU makes the greatest float32 of infinity

    function = tf.function(compute).get_concrete_function(tf.TensorSpec((batch, len(weights)), name="x"))
    return bytes(tf.lite.TFLiteConverter.from_concrete_functions([function], tf.Module()).convert())


def leading_out(artifact: bytes, elsewhere: str) -> tuple[bytes, str]:
    """With a group of buffers in another file."""
    import flatbuffers  # type: ignore[import-untyped]
    from ai_edge_litert import schema_py_generated as schema  # type: ignore[import-untyped]

    model = schema.ModelT.InitFromPackedBuf(artifact, 0)
    group = schema.ExternalBufferGroupT()
    group.name = elsewhere
    model.externalBufferGroups = [group]
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output()), "another file"
