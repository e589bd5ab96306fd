"""Models in ONNX: one file, or an archive of the model and the files in which its tensors have their data."""

import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from orchestrator.artifacts import JSON
from orchestrator.inspection import members, operators, precision_of, refused, tensor
from runner_api.v1 import archives

_FIRST_FIELD = b"\x08"
"""A message begins with its field of the lowest number; a model's is `ir_version`, field 1, a varint."""


def recognises(artifact: Path) -> bool:
    """An archive by its member; a message of protobuf says no more of itself than how it begins."""
    if not artifact.is_file() or archives.is_archive(artifact):
        return archives.ONNX_MODEL in members(artifact)
    with artifact.open("rb") as file:
        return file.read(1) == _FIRST_FIELD


def read(artifact: Path) -> dict[str, JSON]:
    """See `of_model`; of data in other files only that they are there."""
    import onnx

    with unpacked(artifact) as file:
        model = onnx.load(file, load_external_data=False)
        beside = files_beside(file, model)
        if not beside:
            return of_model(model)
        onnx.checker.check_model(str(file))  # which looks after them
        return _facts(model) | {"external_data_bytes": sum(path.stat().st_size for path in beside.values())}


@contextmanager
def unpacked(artifact: Path) -> Iterator[Path]:
    """The file of the model, with the files that its tensors name beside it."""
    if not archives.is_archive(artifact):
        yield artifact
        return
    with tempfile.TemporaryDirectory() as folder:
        archives.unpack(artifact, Path(folder))
        yield Path(folder) / archives.ONNX_MODEL


def files_beside(file: Path, model: Any = None) -> dict[str, Path]:
    """The files, by the name that tensors of the model in `file` call them, in which these have their data.

    Raises:
        CaseFailure: (load, refused) one is outside the model's folder, or is not there.
    """
    import onnx

    model = model or onnx.load(file, load_external_data=False)
    found: dict[str, Path] = {}
    for each in onnx.external_data_helper._get_all_tensors(model):  # there is no public one
        if onnx.external_data_helper.uses_external_data(each):
            name = onnx.external_data_helper.ExternalDataInfo(each).location
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts or not (file.parent / path).is_file():
                raise refused(file, f"the tensor '{each.name}' has its data in {name!r}, no file beside the model")
            found[path.as_posix()] = file.parent / path
    return found


def signature(artifact: Path) -> dict[str, JSON]:
    """Inputs that are no weights; free sizes have the names that the graph gives them."""
    import onnx

    with unpacked(artifact) as file:
        graph = onnx.load(file, load_external_data=False).graph
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
    return _facts(model)


def _facts(model: Any) -> dict[str, JSON]:
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
