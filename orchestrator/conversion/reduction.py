"""ONNX models with smaller numbers, by the tools that come with ONNX Runtime."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from orchestrator.artifacts import JSON
from orchestrator.errors import CaseFailure, Stage, Symptom
from orchestrator.inspection import onnx as inspection

CALIBRATION_SAMPLES = 128
"""At most; one at a time, or as many as the model takes at once."""


def to_float16(model: Any) -> tuple[Any, dict[str, JSON]]:
    """Weights and values in float16; inputs and outputs stay as they are, so that answers can be compared."""
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    reduced = OnnxModel(convert_float_to_float16(model, keep_io_types=True))
    reduced.topological_sort()  # the casts of inputs stand last
    return reduced.model, {}


def to_int8(model: Any, calibration: str | None) -> tuple[Any, dict[str, JSON]]:
    """Static quantisation: 8 bits for weights, per channel, and for values, in ranges that `calibration` spans.

    Source: https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html, where this (QDQ, signed
    both) is the first choice on CPUs.

    Args:
        model: in float32.
        calibration: path of an .npz archive of inputs by the model's names, or of a single one.

    Raises:
        CaseFailure: (convert, refused) there is none; the model holds no operator that can be quantised.
    """
    if calibration is None:
        raise CaseFailure(Stage.CONVERT, Symptom.REFUSED, "int8 needs inputs to find its ranges with; give some")
    given = calibration
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # ONNX Runtime has no types
        def __init__(self) -> None:
            self._batches = _batches(model, given)

        def get_next(self) -> dict[str, Any] | None:
            return next(self._batches, None)

    with tempfile.TemporaryDirectory() as folder:
        whole, prepared, made = (Path(folder) / name for name in ("whole.onnx", "prepared.onnx", "made.onnx"))
        onnx.save(model, whole)
        quant_pre_process(str(whole), str(prepared), skip_symbolic_shape=True)
        kinds = {"activation_type": QuantType.QInt8, "weight_type": QuantType.QInt8}
        quantize_static(str(prepared), str(made), Reader(), QuantFormat.QDQ, per_channel=True, **kinds)
        quantised = onnx.load(made)
    if not any(node.op_type == "DequantizeLinear" for node in inspection.nodes(quantised.graph)):
        message = "nothing in the model can be quantised; ask for another precision"
        raise CaseFailure(Stage.CONVERT, Symptom.REFUSED, message)
    return quantised, {"calibration_samples": sum(len(next(iter(each.values()))) for each in _batches(model, given))}


def _batches(model: Any, calibration: str) -> Iterator[dict[str, Any]]:
    """The inputs as the model takes them: as many samples as its first axis says, one where that is open."""
    weights = {weight.name for weight in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    size = inputs[0].type.tensor_type.shape.dim[0].dim_value or 1
    with np.load(calibration) as archive:
        arrays = {name: archive[name][:CALIBRATION_SAMPLES] for name in archive.files}
    if len(inputs) == len(arrays) == 1:
        arrays = {inputs[0].name: next(iter(arrays.values()))}
    count = len(next(iter(arrays.values()))) // size * size
    for start in range(0, count, size):
        yield {name: array[start : start + size] for name, array in arrays.items()}
