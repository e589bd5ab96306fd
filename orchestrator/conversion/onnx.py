"""To ONNX by tf2onnx and by PyTorch's own exporter, to float16 by ONNX Runtime's tool: one file, open batch.

Nothing in it depends on the machine.
"""

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from orchestrator.artifacts import JSON
from orchestrator.conversion import telling_unsupported_operators
from orchestrator.inspection import onnx as inspection
from orchestrator.inspection import savedmodel

OPSET = 18
"""The newest that both converters write themselves."""

_UNKNOWN = re.compile(
    r"No Op registered for \S+"  # the ONNX checker, after tf2onnx let an operator through
    r"|No ONNX function found for [^>]*>"  # torch.onnx
)


def convert(*, source_framework: str, source: str, target: str, precision: str) -> dict[str, JSON]:
    """Writes `target`: a single input is `input`, outputs are `output_0` and so on, an open first axis is `batch`.

    In float16 it computes and stores weights so, but for operators that ONNX has or ONNX Runtime executes in float32
    only; inputs and outputs keep the source's types.

    Raises:
        CaseFailure: an operator without counterpart.
    """
    with telling_unsupported_operators(_UNKNOWN):
        model, conversion_ns = _FROM[source_framework](source)
        _normalise(model)
        if precision == "float16":
            model = _halved(model)
        structure = inspection.of_model(model)
    Path(target).write_bytes(model.SerializeToString(deterministic=True))
    return {"conversion_ns": conversion_ns, **structure}


def _from_keras(source: str) -> tuple[Any, int]:
    """The model, and how long the converter itself took in nanoseconds."""
    import tensorflow as tf
    import tf2onnx

    from orchestrator.zoo import keras_source

    model = keras_source.load(source)
    signature = [tf.TensorSpec(given.shape, given.dtype, name=given.name) for given in model.inputs]
    with keras_source.inlining():
        function = _without_captures(tf.function(keras_source.call(model)), signature)
        return _timed(lambda: tf2onnx.convert.from_function(function, signature, opset=OPSET))


def _without_captures(function: Any, signature: list[Any]) -> Any:
    """The same with the constants inside that it captured, such as a normalisation's; tf2onnx makes inputs of them."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    traced = function.get_concrete_function(*signature)
    if sum(given.dtype != tf.resource for given in traced.inputs) == len(signature):
        return function
    frozen = convert_variables_to_constants_v2(traced, lower_control_flow=False)

    def call(*inputs: Any) -> Any:
        return frozen(*inputs)

    return tf.function(call)


def _from_savedmodel(source: str) -> tuple[Any, int]:
    """The same of the signature that a SavedModel serves."""
    import tensorflow as tf
    import tf2onnx

    with savedmodel.unpacked(Path(source)) as folder:
        model = tf.saved_model.load(folder)  # which holds the function's variables
        served = model.signatures[savedmodel.SERVED]
        named = served.structured_input_signature[1]
        signature = [tf.TensorSpec(given.shape, given.dtype, name) for name, given in sorted(named.items())]
        function = tf.function(lambda *inputs: served(**dict(zip(sorted(named), inputs, strict=True))))
        return _timed(lambda: tf2onnx.convert.from_function(function, signature, opset=OPSET))


def _timed(convert_: Callable[[], tuple[Any, Any]]) -> tuple[Any, int]:
    begin_ns = time.perf_counter_ns()
    converted, _ = convert_()
    conversion_ns = time.perf_counter_ns() - begin_ns
    _name_constants(converted.graph)
    return converted, conversion_ns


def _name_constants(graph: Any) -> None:
    """After their first use: which of several equal constants tf2onnx keeps depends on addresses in memory."""
    constants = {constant.name: constant for constant in graph.initializer}
    names: dict[str, str] = {}
    for node in inspection.nodes(graph):
        for index, used in enumerate(node.input):
            if used in constants:
                names.setdefault(used, f"{node.name}/input_{index}")
    _rename(graph, names)
    ordered = [constants[name] for name in names]
    for constant in ordered:
        constant.name = names[constant.name]
    del graph.initializer[:]
    graph.initializer.extend(ordered)


def _from_pytorch(source: str) -> tuple[Any, int]:
    import torch

    from orchestrator.zoo import pytorch_source

    program = pytorch_source.load(source)
    begin_ns = time.perf_counter_ns()
    converted = torch.onnx.export(program, (), dynamo=True, opset_version=OPSET, external_data=False, verbose=False)
    return converted.model_proto, time.perf_counter_ns() - begin_ns


def _normalise(model: Any) -> None:
    """Uniform names; no notes of the converter, which hold counters of its process and paths of its machine."""
    graph = model.graph
    names = {value.name: f"output_{index}" for index, value in enumerate(graph.output)}
    _rename(graph, names | ({graph.input[0].name: "input"} if len(graph.input) == 1 else {}))
    for value in (*graph.input, *graph.output):
        for dimension in value.type.tensor_type.shape.dim[:1]:
            if dimension.dim_param:
                dimension.dim_param = "batch"
    graph.name = "model"
    del graph.value_info[:]
    for noted in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        noted.ClearField("doc_string")
        del noted.metadata_props[:]


def _halved(model: Any) -> Any:
    """The same in float16, with casts beside its inputs and outputs."""
    from onnxruntime.quantization.onnx_model import ONNXModel
    from onnxruntime.transformers import float16

    sorted_ = ONNXModel(float16.convert_float_to_float16(model, keep_io_types=True))
    sorted_.topological_sort()  # the tool writes its casts behind everything else
    del sorted_.model.graph.value_info[:]
    return sorted_.model


def _rename(graph: Any, names: dict[str, str]) -> None:
    for value in (*graph.input, *graph.output):
        value.name = names.get(value.name, value.name)
    for node in inspection.nodes(graph):
        for values in (node.input, node.output):
            values[:] = [names.get(name, name) for name in values]


_FROM = {"keras": _from_keras, "pytorch": _from_pytorch, "tensorflow": _from_savedmodel}
