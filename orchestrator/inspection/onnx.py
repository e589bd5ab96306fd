"""Models in ONNX."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from orchestrator.artifacts import JSON
from orchestrator.inspection import operators, precision_of, tensor
from runner_api.v1 import archives

_FIRST_FIELD = b"\x08"
"""A message begins with its field of the lowest number; a model's is `ir_version`, field 1, a varint."""


def recognises(artifact: Path) -> bool:
    """A message of protobuf says no more of itself than how it begins."""
    if not artifact.is_file() or archives.is_archive(artifact):
        return False
    with artifact.open("rb") as file:
        return file.read(1) == _FIRST_FIELD


def read(artifact: Path) -> dict[str, JSON]:
    """See `of_model`."""
    import onnx

    return of_model(onnx.load(artifact))


def signature(artifact: Path) -> dict[str, JSON]:
    """Inputs that are no weights; free sizes have the names that the graph gives them."""
    import onnx

    graph = onnx.load(artifact, load_external_data=False).graph
    if not graph.node:
        raise ValueError("it holds no graph")
    weights = {weight.name for weight in graph.initializer}
    dtypes = (onnx.helper.tensor_dtype_to_np_dtype(weight.data_type).name for weight in graph.initializer)
    return {
        "precision": precision_of(dtypes),
        "inputs": [_input(value) for value in graph.input if value.name not in weights],
    }


def _input(value: Any) -> dict[str, JSON]:
    import onnx

    kind = value.type.tensor_type
    text = kind.elem_type == onnx.TensorProto.STRING
    dtype = "str" if text else onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type).name
    sizes = (size.dim_value if size.HasField("dim_value") else size.dim_param or None for size in kind.shape.dim)
    return tensor(value.name, dtype, sizes)


def of_model(model: Any) -> dict[str, JSON]:
    """Of a model that has passed ONNX's own checker and shape inference, which raise what is wrong with it."""
    import onnx

    onnx.checker.check_model(model, full_check=True)

    def tensors(values: Any) -> dict[str, JSON]:
        return {value.name: _type(value.type.tensor_type) for value in values}

    return {
        "opset": next(entry.version for entry in model.opset_import if not entry.domain),
        "ir_version": model.ir_version,
        "producer": f"{model.producer_name} {model.producer_version}".strip(),
        **operators(Counter(node.op_type for node in nodes(model.graph))),
        "inputs": tensors(model.graph.input),
        "outputs": tensors(model.graph.output),
    }


def nodes(graph: Any) -> Iterator[Any]:
    """Those of loops and branches too."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from nodes(attribute.g)


def _type(tensor: Any) -> str:
    import onnx

    sizes = ", ".join(dimension.dim_param or str(dimension.dim_value) for dimension in tensor.shape.dim)
    return f"{onnx.TensorProto.DataType.Name(tensor.elem_type).lower()} [{sizes}]"
