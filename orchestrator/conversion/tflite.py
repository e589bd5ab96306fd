"""To LiteRT by TensorFlow's own converter, with built-in operators only: no part of TensorFlow comes along."""

import re
import time
from pathlib import Path
from typing import Any

from orchestrator.artifacts import JSON
from orchestrator.conversion import telling_unsupported_operators
from orchestrator.inspection import tflite as inspection

_UNKNOWN = re.compile(r"'tf\.\w+' op is neither a custom op nor a flex op")
_OPEN_LOOP = re.compile(r"'tf\.\w+' op requires element_shape to be static")
"""The converter's words of a loop that collects tensors of a size which it does not know: those of an open batch."""


def convert(*, source_framework: str, source: str, target: str, precision: str) -> dict[str, JSON]:
    """Writes `target`: one signature from `input` to `output_0`, both in the source's types, with an open batch.

    In float16 the weights are stored so; LiteRT's kernels for CPUs compute in float32. A network with loops gets a
    batch of 1, and the facts say why.

    Raises:
        CaseFailure: an operator without counterpart.
    """
    del source_framework  # there is one, see CONVERSIONS
    from orchestrator.zoo import keras_source

    model = keras_source.load(source)
    with telling_unsupported_operators(_UNKNOWN):
        content, facts = _with_open_batch(model, precision)
    Path(target).write_bytes(content)
    return {**facts, **inspection.of_bytes(content)}


def _with_open_batch(model: Any, precision: str) -> tuple[bytes, dict[str, JSON]]:
    """What comes of the model with an open batch or else, where it has loops, with a batch of 1."""
    from tensorflow.lite.python.convert import ConverterError

    try:
        return _converted(model, None, precision)
    except ConverterError as error:
        reason = _OPEN_LOOP.search(str(error))
        if reason is None:
            raise
    content, facts = _converted(model, 1, precision)
    return content, facts | {"fixed_batch_because": f"ConverterError: {reason[0]}"}


def _converted(model: Any, batch: int | None, precision: str) -> tuple[bytes, dict[str, JSON]]:
    """The artifact, and how long the converter itself took in nanoseconds."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    from orchestrator.zoo import keras_source

    signature = [tf.TensorSpec((batch, *given.shape[1:]), given.dtype, name=given.name) for given in model.inputs]
    answers = keras_source.call(model)

    def named(*inputs: Any) -> dict[str, Any]:
        return {f"output_{index}": answer for index, answer in enumerate(tf.nest.flatten(answers(*inputs)))}

    # Else the weights become variables of the interpreter, which are not in the artifact.
    frozen = convert_variables_to_constants_v2(tf.function(named).get_concrete_function(*signature))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen], tf.Module())
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if precision == "float16":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
    begin_ns = time.perf_counter_ns()
    content: bytes = converter.convert()
    return content, {"conversion_ns": time.perf_counter_ns() - begin_ns}
