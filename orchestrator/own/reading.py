"""Reads a model that somebody brings: which format it is, and what it takes; runs in a process of its own.

Each format is read by the library that it belongs to, in its safe mode.
"""

import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from orchestrator.artifacts import JSON, pack_directory
from orchestrator.errors import CaseFailure, Stage, Symptom
from runner_api.v1 import archives

FLOATS = ("float16", "float32")


def take(*, path: str, target: str) -> dict[str, JSON]:
    """Writes the model at `path` to `target` as an artifact: a file as it is, a folder packed.

    Returns:
        Its `format`, the `precision` of its weights, and what it takes as `inputs`, see `own.Tensor`.

    Raises:
        CaseFailure: (load, refused) it is no model of a known format, or is damaged.
    """
    model = Path(path)
    format_ = _format_of(model)
    pack_directory(model, Path(target)) if model.is_dir() else shutil.copyfile(model, target)
    return {"format": format_, **read(Path(target), format_)}


def read(artifact: Path, format_: str) -> dict[str, JSON]:
    """The `precision` and the `inputs` of an artifact.

    Raises:
        CaseFailure: (load, refused) the library of the format cannot read it.
    """
    try:
        return _READERS[format_](artifact)
    except CaseFailure:
        raise
    except Exception as error:  # each library raises what it likes
        raise refused(f"it cannot be read as {format_}: {type(error).__name__}: {error}") from error


def refused(found: str) -> CaseFailure:
    """Why a model is not taken, in one line."""
    return CaseFailure(Stage.LOAD, Symptom.REFUSED, " ".join(found.split())[:600])


def tensor(name: str, dtype: str, shape: Iterable[int | str | None]) -> dict[str, JSON]:
    """See `own.Tensor`; in `shape` a free size may have a name."""
    sizes = list(shape)
    return {
        "name": name,
        "dtype": dtype,
        "shape": [size if isinstance(size, int) else None for size in sizes],
        "sizes": [size if isinstance(size, str) else None for size in sizes],
    }


def precision_of(dtypes: Iterable[str]) -> str:
    """Of the weights: the smaller of two floating-point types that hold any."""
    found = set(dtypes)
    return next((dtype for dtype in FLOATS if dtype in found), "float32")


def _format_of(model: Path) -> str:
    if model.is_dir():
        if (model / "Manifest.json").is_file():
            return "coreml"
        if (model / "saved_model.pb").is_file():
            return "savedmodel"
        raise refused(f"{model}: a folder without Manifest.json (an .mlpackage) or saved_model.pb (a SavedModel)")
    if not zipfile.is_zipfile(model):
        return "onnx"
    with zipfile.ZipFile(model) as archive:
        names = set(archive.namelist())
    if "Manifest.json" in names:
        return "coreml"
    if "saved_model.pb" in names:
        return "savedmodel"
    return "keras" if "config.json" in names else "pt2"


def _read_onnx(artifact: Path) -> dict[str, JSON]:
    import onnx

    model = onnx.load(artifact, load_external_data=False)
    graph = model.graph
    if not graph.node:
        raise refused("it holds no ONNX graph")
    weights = {weight.name for weight in graph.initializer}
    return {
        "precision": precision_of(
            onnx.helper.tensor_dtype_to_np_dtype(each.data_type).name for each in graph.initializer
        ),
        "inputs": [_onnx_tensor(value) for value in graph.input if value.name not in weights],
    }


def _onnx_tensor(value: Any) -> dict[str, JSON]:
    import onnx

    kind = value.type.tensor_type
    is_text = kind.elem_type == onnx.TensorProto.STRING
    dtype = "str" if is_text else onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type).name
    sizes = (size.dim_value if size.HasField("dim_value") else size.dim_param or None for size in kind.shape.dim)
    return tensor(value.name, dtype, sizes)


def _read_keras(artifact: Path) -> dict[str, JSON]:
    from orchestrator.zoo import keras_source

    unknown = _not_of_keras(json.loads(_member(artifact, "config.json")))
    if unknown:
        raise refused(
            f"it has {', '.join(sorted(unknown))}, which safe loading does not know; build it from Keras's own layers, "
            "or give a function that returns it in PyTorch"
        )
    model = keras_source.load(str(artifact))
    return {
        "precision": precision_of(str(weight.dtype) for weight in model.weights),
        "inputs": [tensor(given.name, str(given.dtype), given.shape) for given in model.inputs],
    }


def _member(archive: Path, name: str) -> bytes:
    with zipfile.ZipFile(archive) as opened:
        return opened.read(name)


def _not_of_keras(config: Any) -> set[str]:
    """Classes in a configuration that are somebody's own, with the modules that they are of."""
    parts = config.values() if isinstance(config, dict) else config if isinstance(config, list) else ()
    found = set().union(*map(_not_of_keras, parts))
    if isinstance(config, dict) and isinstance(config.get("class_name"), str):
        module = str(config.get("module") or "keras")
        if module.partition(".")[0] not in ("keras", "builtins"):
            found.add(f"{config['class_name']} of {module}")
    return found


def _read_pt2(artifact: Path) -> dict[str, JSON]:
    from orchestrator.zoo import pytorch_source

    program = pytorch_source.load(str(artifact))
    placed = {node.name: node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"}
    return {
        "precision": precision_of(_torch_dtype(weight) for weight in program.state_dict.values()),
        "inputs": [
            tensor(name, _torch_dtype(placed[name]), [_torch_size(size) for size in placed[name].shape])
            for name in program.graph_signature.user_inputs
        ],
    }


def _torch_dtype(value: Any) -> str:
    return str(value.dtype).removeprefix("torch.")


def _torch_size(size: Any) -> int | str:
    return size if isinstance(size, int) else str(size)


def _read_coreml(artifact: Path) -> dict[str, JSON]:
    from coremltools.proto import Model_pb2

    from orchestrator.inspection import coreml

    with tempfile.TemporaryDirectory() as folder:
        archives.unpack(artifact, Path(folder))
        (file,) = Path(folder).rglob("*.mlmodel")
        specification = Model_pb2.Model.FromString(file.read_bytes())
    coreml.of_specification(specification)  # which finds whether it is an ML Program at all
    return {
        "precision": "float32",
        "inputs": [_coreml_tensor(feature) for feature in specification.description.input],
    }


def _coreml_tensor(feature: Any) -> dict[str, JSON]:
    from coremltools.proto.FeatureTypes_pb2 import ArrayFeatureType

    array = feature.type.multiArrayType
    dtype = ArrayFeatureType.ArrayDataType.Name(array.dataType).lower().replace("double", "float64")
    shape: list[int | None] = list(array.shape)
    if array.WhichOneof("ShapeFlexibility"):
        shape[0] = None
    return tensor(feature.name, dtype, shape)


def _read_savedmodel(artifact: Path) -> dict[str, JSON]:
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        archives.unpack(artifact, Path(folder))
        model = tf.saved_model.load(folder)  # which holds the function's variables
        if "serving_default" not in model.signatures:
            raise refused("the SavedModel has no signature 'serving_default'; save it with one")
        function = model.signatures["serving_default"]
    return {
        "precision": precision_of(weight.dtype.name for weight in function.variables),
        "inputs": [
            tensor(name, given.dtype.name, given.shape)
            for name, given in sorted(function.structured_input_signature[1].items())
        ],
    }


_READERS = {
    "onnx": _read_onnx,
    "keras": _read_keras,
    "pt2": _read_pt2,
    "coreml": _read_coreml,
    "savedmodel": _read_savedmodel,
}
