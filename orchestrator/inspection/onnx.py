"""Models in ONNX."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from orchestrator.artifacts import JSON
from orchestrator.inspection import operators
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
