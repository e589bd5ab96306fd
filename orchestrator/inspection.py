"""What is in an artifact: operators, inputs and outputs, versions, as far as its format tells without executing it.

Runs in a process of its own (orchestrator.isolated): each format is read by the library that it belongs to.
"""

import json
import re
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from orchestrator.artifacts import JSON
from orchestrator.errors import CaseFailure, Stage, Symptom
from runner_api.v1 import archives


def inspect(*, path: str) -> dict[str, JSON]:
    """The facts of the artifact in the file `path`, or in the folder, for a Core ML package that is not packed.

    Raises:
        CaseFailure: (load, refused) it is no artifact of a known format, or is torn.
    """
    artifact = Path(path)
    format_ = _format_of(artifact)
    try:
        return {"format": format_, **_READERS[format_](artifact)}
    except CaseFailure:
        raise
    except Exception as error:  # each library raises what it likes on a torn file
        raise _refused(artifact, f"not {format_} after all: {error}") from error


def of_onnx(model: Any) -> dict[str, JSON]:
    """Of a model that has passed ONNX's own checker and shape inference, which raise what is wrong with it."""
    import onnx

    onnx.checker.check_model(model, full_check=True)

    def tensors(values: Any) -> dict[str, JSON]:
        return {value.name: _onnx_type(value.type.tensor_type) for value in values}

    counts = Counter(node.op_type for node in onnx_nodes(model.graph))
    return {
        "opset": next(entry.version for entry in model.opset_import if not entry.domain),
        "ir_version": model.ir_version,
        "producer": f"{model.producer_name} {model.producer_version}".strip(),
        **_operators(counts),
        "inputs": tensors(model.graph.input),
        "outputs": tensors(model.graph.output),
    }


def onnx_nodes(graph: Any) -> Iterator[Any]:
    """Those of loops and branches too."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from onnx_nodes(attribute.g)


def of_coreml(specification: Any) -> dict[str, JSON]:
    """Of an ML Program's specification.

    "batch_sizes" are those that it takes, or the lowest and the highest of a range; "float32_weights" are the
    operators, with their numbers, whose weights are float32.
    """
    from coremltools.proto import MIL_pb2

    def tensors(features: Any) -> dict[str, JSON]:
        return {feature.name: _coreml_type(feature.type.multiArrayType) for feature in features}

    (function,) = specification.mlProgram.functions.values()
    (block,) = function.block_specializations.values()
    operations = list(_operations(block))
    constants = {
        operation.outputs[0].name: operation.attributes["val"] for operation in operations if operation.type == "const"
    }
    steps = [operation for operation in operations if operation.type != "const"]

    def holds_float32(operation: Any) -> bool:
        bound = [binding.name for argument in operation.inputs.values() for binding in argument.arguments]
        weights = [constants[name] for name in bound if name in constants]
        return any(
            weight.WhichOneof("value") == "blobFileValue" and weight.type.tensorType.dataType == MIL_pb2.FLOAT32
            for weight in weights
        )

    return {
        "specification_version": specification.specificationVersion,
        "batch_sizes": _batch_sizes(specification.description.input[0].type.multiArrayType),
        **_operators(Counter(operation.type for operation in steps)),
        "float32_weights": dict(Counter(operation.type for operation in steps if holds_float32(operation))),
        "inputs": tensors(specification.description.input),
        "outputs": tensors(specification.description.output),
    }


def _batch_sizes(array: Any) -> list[JSON]:
    match array.WhichOneof("ShapeFlexibility"):
        case "shapeRange":
            bounds = array.shapeRange.sizeRanges[0]
            return [bounds.lowerBound, bounds.upperBound]
        case "enumeratedShapes":
            return sorted({shape.shape[0] for shape in array.enumeratedShapes.shapes})
    return list(array.shape[:1])


def _operations(block: Any) -> Iterator[Any]:
    for operation in block.operations:
        yield operation
        for inner in operation.blocks:
            yield from _operations(inner)


def _operators(counts: Counter[str]) -> dict[str, JSON]:
    return {"operator_count": counts.total(), "operators": dict(sorted(counts.items()))}


def _onnx_type(tensor: Any) -> str:
    import onnx

    sizes = ", ".join(dimension.dim_param or str(dimension.dim_value) for dimension in tensor.shape.dim)
    return f"{onnx.TensorProto.DataType.Name(tensor.elem_type).lower()} [{sizes}]"


def _coreml_type(array: Any) -> str:
    """Without a shape where that depends on the batch, as outputs of a package for many batch sizes have it."""
    from coremltools.proto.FeatureTypes_pb2 import ArrayFeatureType

    kind: str = ArrayFeatureType.ArrayDataType.Name(array.dataType).lower()
    return f"{kind} {list(array.shape)}" if array.shape else kind


def _format_of(artifact: Path) -> str:
    """By what is inside, because an artifact in the cache has no suffix.

    Raises:
        CaseFailure: (load, refused) there is no such file.
    """
    if artifact.is_dir():
        return "coreml"
    if not artifact.is_file():
        raise _refused(artifact, "there is no such file")
    if not zipfile.is_zipfile(artifact):
        return "onnx"
    try:
        names = set(archives.check(artifact))
    except archives.ArchiveError as error:
        raise _refused(artifact, f"the archive: {error}") from error
    if "Manifest.json" in names:
        return "coreml"
    return "keras" if "config.json" in names else "pt2"


def _read_onnx(artifact: Path) -> dict[str, JSON]:
    import onnx

    return of_onnx(onnx.load(artifact))


def _read_coreml(artifact: Path) -> dict[str, JSON]:
    """Raises CaseFailure (load, refused) where a file of the package is missing."""
    from coremltools.proto import Model_pb2

    with tempfile.TemporaryDirectory() as folder:
        package = artifact
        if artifact.is_file():
            package = Path(folder)
            archives.unpack(artifact, package)
        listed = json.loads((package / "Manifest.json").read_text())["itemInfoEntries"].values()
        missing = [entry["path"] for entry in listed if not (package / "Data" / entry["path"]).exists()]
        if missing:
            raise _refused(artifact, f"the package lacks {', '.join(missing)}")
        (model,) = package.rglob("*.mlmodel")
        specification = Model_pb2.Model.FromString(model.read_bytes())
        for blob in _blobs(specification):
            if not (model.parent / blob).exists():
                raise _refused(artifact, f"the package lacks {blob}")
        return of_coreml(specification)


def _blobs(specification: Any) -> set[str]:
    """Files with weights, relative to the specification's."""
    (function,) = specification.mlProgram.functions.values()
    (block,) = function.block_specializations.values()
    values = (operation.attributes["val"] for operation in _operations(block) if operation.type == "const")
    return {
        value.blobFileValue.fileName.removeprefix("@model_path/")
        for value in values
        if value.WhichOneof("value") == "blobFileValue"
    }


def _read_keras(artifact: Path) -> dict[str, JSON]:
    """What the archive says of itself; nothing of it is made into a model."""
    with archives.opened(artifact) as archive:
        read = [archive.read(name) for name in ("metadata.json", "config.json")]
    metadata, config = map(json.loads, read)
    layers = Counter(layer["class_name"] for layer in config["config"]["layers"])
    return {"keras_version": metadata["keras_version"], **_operators(layers)}


def _read_pt2(artifact: Path) -> dict[str, JSON]:
    """What the archive says of itself; torch.export would unpickle some of it, and execute more."""
    with archives.opened(artifact) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("/models/model.json"))
        model = archive.read(name)
    module = json.loads(model)["graph_module"]
    graph = module["graph"]
    calls = Counter(node["target"].removeprefix("torch.ops.") for node in graph["nodes"])
    given = (spec["user_input"]["arg"] for spec in module["signature"]["input_specs"] if "user_input" in spec)
    names = [argument["as_tensor"]["name"] for argument in given]
    return {**_operators(calls), "inputs": {name: _pt2_type(graph["tensor_values"][name]) for name in names}}


def _pt2_type(tensor: Any) -> str:
    """Types are numbers of torch.export's own; the size of a free axis is an expression of sympy's symbols."""
    from torch._export.serde.serialize import deserialize_scalar_type

    dtype = str(deserialize_scalar_type(tensor["dtype"])).removeprefix("torch.")
    sizes = (size["as_int"] if "as_int" in size else size["as_expr"]["expr_str"] for size in tensor["sizes"])
    shown = ", ".join(_SYMBOL.sub(r"\1", str(size)) for size in sizes)
    return f"{dtype} [{shown}]"


def _refused(artifact: Path, found: str) -> CaseFailure:
    message = f"{artifact}: {' '.join(found.split())[:400]}; give an artifact in ONNX, Core ML, .keras or .pt2"
    return CaseFailure(Stage.LOAD, Symptom.REFUSED, message)


_SYMBOL = re.compile(r"Symbol\('(\w+)'[^)]*\)")
_READERS = {"onnx": _read_onnx, "coreml": _read_coreml, "keras": _read_keras, "pt2": _read_pt2}
