"""From the source framework's format to others. Adding one is a module here, one in `inspection`, and a row here.

Nothing here imports a converter.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from orchestrator.errors import CaseFailure, Stage, Symptom


@dataclass(frozen=True)
class Conversion:
    """How artifacts of a format are made.

    `precisions` are those in which it is made, a suite's others are not planned for it; `distributions` are the
    packages that convert from a source framework, whose versions decide what comes out; it is made from no other.
    `calibrated` are the precisions that take inputs, too, to find out which numbers occur.
    """

    precisions: tuple[str, ...]
    distributions: Mapping[str, tuple[str, ...]]
    calibrated: tuple[str, ...] = ()


CONVERSIONS = {
    "onnx": Conversion(
        precisions=("float32", "float16", "int8"),
        distributions={
            "keras": ("keras", "onnx", "onnxruntime", "tensorflow", "tf2onnx"),
            "pytorch": ("onnx", "onnxruntime", "onnxscript", "torch"),
            "tensorflow": ("onnx", "onnxruntime", "tensorflow", "tf2onnx"),
            "onnx": ("onnx", "onnxruntime"),
        },
        calibrated=("int8",),
    ),
    "coreml": Conversion(
        precisions=("float32", "float16", "int8"),
        distributions={
            "keras": ("coremltools", "keras", "tensorflow"),
            "pytorch": ("coremltools", "torch"),
            "tensorflow": ("coremltools", "tensorflow"),
        },
    ),
    "tflite": Conversion(
        precisions=("float32", "float16"),
        distributions={"keras": ("keras", "tensorflow")},
    ),
}
"""By format, which is also the name of the module here that has `convert(source_framework, source, target, precision)`,
with `calibration` where that is needed, which gives facts on what it wrote, and of the one in
`orchestrator.inspection`, which reads it."""


def planned(source_framework: str, format_: str, precision: str, source_precision: str) -> bool:
    """Whether a suite that asks for this gets it, be it a row that says why not.

    Models that came in a format which others are converted to are not converted further, but to smaller numbers.
    """
    conversion = CONVERSIONS.get(format_)
    if conversion is None or precision not in conversion.precisions:
        return False
    if source_framework == format_:
        return source_precision == "float32" != precision and source_framework in conversion.distributions
    is_converted = any(source_framework in each.distributions for each in CONVERSIONS.values())
    return is_converted and source_framework not in CONVERSIONS


@contextmanager
def telling_unsupported_operators(words: re.Pattern[str]) -> Iterator[None]:
    """Around a converter: tells operators that it does not know from other failures.

    Args:
        words: what the converter says of such an operator; what matches is kept.

    Raises:
        CaseFailure: (convert, unsupported-operator).
    """
    try:
        yield
    except Exception as error:
        unknown = next(filter(None, map(words.search, _chain(error))), None)
        if unknown is None:
            raise
        message = f"{type(error).__name__}: {' '.join(unknown[0].split())}; replace the operator in the model"
        raise CaseFailure(Stage.CONVERT, Symptom.UNSUPPORTED_OPERATOR, message) from error


def _chain(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        yield str(error)
        error = error.__cause__ or error.__context__
