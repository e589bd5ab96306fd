"""What a model computes on its way, value by value; runs in processes of their own (orchestrator.isolated).

Of a Keras or PyTorch model the values are written at once. An ONNX model or an ML Program gets them as outputs, and its
runtime is asked for them as for any other.
"""

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from orchestrator.artifacts import JSON, pack_directory
from orchestrator.inspection import onnx as inspection
from runner_api.v1 import archives


def trace_keras(*, source: str, inputs: str, target: str) -> dict[str, JSON]:
    """Writes each layer's output, of a model in the model only its own, to the archive `target`, in their order."""
    import keras

    from orchestrator.zoo import keras_source

    model = keras_source.load(source)
    layers = list(_layers(model))
    outputs = [layer.output for layer in layers]
    with np.load(inputs) as archive:
        given = [archive[name] for name in archive.files]
    answers = keras.Model(model.inputs, outputs)(given[0] if len(given) == 1 else given, training=False)
    values = [np.asarray(answer) for answer in (answers if isinstance(answers, list) else [answers])]
    return _written(
        target, ((layer.name, type(layer).__name__, value) for layer, value in zip(layers, values, strict=True))
    )


def _layers(model: Any) -> Iterable[Any]:
    import keras

    for layer in model.layers:
        if not isinstance(layer, keras.layers.InputLayer) and not isinstance(layer.output, list | tuple | dict):
            yield layer


def trace_pytorch(*, source: str, inputs: str, target: str) -> dict[str, JSON]:
    """Writes what each node of the program gives that is one tensor of numbers with a fraction."""
    import torch

    from orchestrator.zoo import pytorch_source

    found: list[tuple[str, str, Any]] = []

    class Recorder(torch.fx.Interpreter):  # type: ignore[misc]  # torch is not type-checked
        def run_node(self, node: Any) -> Any:
            value = super().run_node(node)
            if node.op == "call_function" and isinstance(value, torch.Tensor) and value.is_floating_point():
                found.append((node.name, str(node.target).removeprefix("aten.").partition(".")[0], value.numpy()))
            return value

    program = pytorch_source.load(source)
    with np.load(inputs) as archive, torch.no_grad():
        Recorder(program.module(check_guards=False)).run(*(torch.from_numpy(archive[name]) for name in archive.files))
    return _written(target, found)


def _written(target: str, found: Iterable[tuple[str, str, Any]]) -> dict[str, JSON]:
    kept = list(found)
    with Path(target).open("wb") as file:
        np.savez(file, **{str(place): value for place, (_, _, value) in enumerate(kept)})
    return {"values": [{"name": name, "operator": operator} for name, operator, _ in kept]}


def expose_onnx(*, source: str, target: str) -> dict[str, JSON]:
    """The model with all that its nodes give as outputs, its own first; `values` are those with a fraction."""
    import onnx

    with inspection.unpacked(Path(source)) as file:
        model = onnx.load(file)
    typed = onnx.shape_inference.infer_shapes(model)
    known = {value.name: value for value in (*typed.graph.value_info, *typed.graph.output)}
    own = {output.name for output in model.graph.output}
    values: list[JSON] = []
    for node in model.graph.node:
        for name in node.output:
            kind = known[name].type.tensor_type.elem_type if name in known else onnx.TensorProto.UNDEFINED
            if kind in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16):
                values.append({"name": name, "operator": node.op_type})
                if name not in own:
                    model.graph.output.append(onnx.helper.make_tensor_value_info(name, kind, None))
    Path(target).write_bytes(model.SerializeToString())
    return {"values": values}


def expose_coreml(*, source: str, target: str) -> dict[str, JSON]:
    """The same of an ML Program, whose evaluator gives what its main block gives."""
    from coremltools.proto import MIL_pb2, Model_pb2

    with tempfile.TemporaryDirectory() as folder:
        archives.unpack(Path(source), Path(folder))
        (path,) = Path(folder).rglob("*.mlmodel")
        specification = Model_pb2.Model.FromString(path.read_bytes())
        main = specification.mlProgram.functions["main"]
        block = main.block_specializations[main.opset]
        values: list[JSON] = []
        for operation in block.operations:
            for output in operation.outputs:
                kind = output.type.tensorType.dataType if output.type.HasField("tensorType") else None
                is_value = operation.type != "const" and not operation.type.startswith("constexpr_")
                if is_value and kind in (MIL_pb2.FLOAT16, MIL_pb2.FLOAT32):
                    values.append({"name": output.name, "operator": operation.type})
                    if output.name not in block.outputs:
                        block.outputs.append(output.name)
        path.write_bytes(specification.SerializeToString())
        pack_directory(Path(folder), Path(target))
    return {"values": values}
