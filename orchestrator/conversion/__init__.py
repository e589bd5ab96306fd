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
    """

    precisions: tuple[str, ...]
    distributions: Mapping[str, tuple[str, ...]]


CONVERSIONS = {
    "onnx": Conversion(
        precisions=("float32", "float16"),
        distributions={
            "keras": ("keras", "onnx", "onnxruntime", "tensorflow", "tf2onnx"),
            "pytorch": ("onnx", "onnxruntime", "onnxscript", "torch"),
            "tensorflow": ("onnx", "onnxruntime", "tensorflow", "tf2onnx"),
        },
    ),
    "coreml": Conversion(
        precisions=("float32", "float16"),
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
which gives facts on what it wrote, and of the one in `orchestrator.inspection`, which reads it."""

CONVERTED = frozenset(name for conversion in CONVERSIONS.values() for name in conversion.distributions)
"""Source frameworks of which anything is made; the rest are formats that are made of others."""


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
