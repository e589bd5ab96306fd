"""To ONNX by tf2onnx and by PyTorch's own exporter: one file, open batch, nothing in it that depends on the machine.

In smaller numbers by what comes with ONNX Runtime, see `reduction`.
"""

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from orchestrator.artifacts import JSON
from orchestrator.conversion import reduction, telling_unsupported_operators
from orchestrator.inspection import onnx as inspection
from orchestrator.inspection import savedmodel

OPSET = 18
"""The newest that both converters write themselves."""

_UNKNOWN = re.compile(
    r"No Op registered for \S+"  # the ONNX checker, after tf2onnx let an operator through
    r"|No ONNX function found for [^>]*>"  # torch.onnx
)


def convert(
    *, source_framework: str, source: str, target: str, precision: str, calibration: str | None = None
) -> dict[str, JSON]:
    """Writes `target`: a single input is `input`, outputs are `output_0` and so on, an open first axis is `batch`.

    In another precision than float32 the time told is that of the reduction, too.

    Raises:
        CaseFailure: an operator without counterpart; nothing can be quantised.
    """
    with telling_unsupported_operators(_UNKNOWN):
        model, conversion_ns = _FROM[source_framework](source)
    if source_framework != "onnx":
        _normalise(model)
    begin_ns = time.perf_counter_ns()
    model, facts = _reduced(model, precision, calibration)
    reduction_ns = time.perf_counter_ns() - begin_ns if precision != "float32" else 0
    with telling_unsupported_operators(_UNKNOWN):
        structure = inspection.of_model(model)
    Path(target).write_bytes(model.SerializeToString(deterministic=True))
    return {"conversion_ns": conversion_ns + reduction_ns, **facts, **structure}


def _reduced(model: Any, precision: str, calibration: str | None) -> tuple[Any, dict[str, JSON]]:
    if precision == "float16":
        return reduction.to_float16(model)
    if precision == "int8":
        return reduction.to_int8(model, calibration)
    return model, {}


def _from_onnx(source: str) -> tuple[Any, int]:
    """The model that somebody brought, which is not converted, only reduced."""
    import onnx

    with inspection.unpacked(Path(source)) as file:
        return onnx.load(file), 0


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


def _rename(graph: Any, names: dict[str, str]) -> None:
    for value in (*graph.input, *graph.output):
        value.name = names.get(value.name, value.name)
    for node in inspection.nodes(graph):
        for values in (node.input, node.output):
            values[:] = [names.get(name, name) for name in values]


_FROM = {"keras": _from_keras, "pytorch": _from_pytorch, "tensorflow": _from_savedmodel, "onnx": _from_onnx}
