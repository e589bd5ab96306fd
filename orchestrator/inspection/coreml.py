"""ML Programs of Core ML, packed or as the folder that coremltools writes."""

import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from orchestrator.artifacts import JSON
from orchestrator.inspection import members, operators, precision_of, refused, tensor
from runner_api.v1 import archives


def recognises(artifact: Path) -> bool:
    """By its list of items."""
    return (artifact / "Manifest.json").is_file() or "Manifest.json" in members(artifact)


def read(artifact: Path) -> dict[str, JSON]:
    """See `of_specification`.

    Raises:
        CaseFailure: (load, refused) a file of the package is missing.
    """
    return of_specification(_specification(artifact))


def signature(artifact: Path) -> dict[str, JSON]:
    """The first axis is free where a package takes several batch sizes, whichever these are."""
    specification = _specification(artifact)
    return {
        "precision": precision_of(_weight_types(specification)),
        "inputs": [_input(feature) for feature in specification.description.input],
    }


def _input(feature: Any) -> dict[str, JSON]:
    from coremltools.proto.FeatureTypes_pb2 import ArrayFeatureType

    array = feature.type.multiArrayType
    dtype = ArrayFeatureType.ArrayDataType.Name(array.dataType).lower().replace("double", "float64")
    shape: list[int | None] = list(array.shape)
    return tensor(feature.name, dtype, [None, *shape[1:]] if array.WhichOneof("ShapeFlexibility") else shape)


def _specification(artifact: Path) -> Any:
    """Of a package that is whole."""
    from coremltools.proto import Model_pb2

    with tempfile.TemporaryDirectory() as folder:
        package = artifact
        if artifact.is_file():
            package = Path(folder)
            archives.unpack(artifact, package)
        listed = json.loads((package / "Manifest.json").read_text())["itemInfoEntries"].values()
        missing = [entry["path"] for entry in listed if not (package / "Data" / entry["path"]).exists()]
        if missing:
            raise refused(artifact, f"the package lacks {', '.join(missing)}")
        (model,) = package.rglob("*.mlmodel")
        specification = Model_pb2.Model.FromString(model.read_bytes())
        for blob in _blobs(specification):
            if not (model.parent / blob).exists():
                raise refused(artifact, f"the package lacks {blob}")
        return specification


def of_specification(specification: Any) -> dict[str, JSON]:
    """Of an ML Program's specification.

    "batch_sizes" are those that it takes, or the lowest and the highest of a range; "float32_weights" are the
    operators, with their numbers, whose weights are float32.
    """
    from coremltools.proto import MIL_pb2

    def tensors(features: Any) -> dict[str, JSON]:
        return {feature.name: _type(feature.type.multiArrayType) for feature in features}

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
        **operators(Counter(operation.type for operation in steps)),
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


def _type(array: Any) -> str:
    """Without a shape where that depends on the batch, as outputs of a package for many batch sizes have it."""
    from coremltools.proto.FeatureTypes_pb2 import ArrayFeatureType

    kind: str = ArrayFeatureType.ArrayDataType.Name(array.dataType).lower()
    return f"{kind} {list(array.shape)}" if array.shape else kind


def _weight_types(specification: Any) -> Iterator[str]:
    """Of the constants that lie in the package's files."""
    from coremltools.proto import MIL_pb2

    (function,) = specification.mlProgram.functions.values()
    (block,) = function.block_specializations.values()
    for operation in _operations(block):
        value = operation.attributes["val"] if operation.type == "const" else None
        if value is not None and value.WhichOneof("value") == "blobFileValue":
            yield MIL_pb2.DataType.Name(value.type.tensorType.dataType).lower()


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
