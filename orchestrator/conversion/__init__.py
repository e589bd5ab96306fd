"""From the source framework's format to others. Adding one is a module with `convert` and rows here.

Nothing here imports a converter.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from orchestrator.errors import CaseFailure, Stage, Symptom

CONVERTERS = {"onnx": "orchestrator.conversion.onnx", "coreml": "orchestrator.conversion.coreml"}
"""Format -> module with `convert(source_framework, source, target, precision)`, which gives facts on what it wrote."""

PRECISIONS = {"onnx": ("float32",), "coreml": ("float32", "float16")}
"""Format -> precisions in which it is made; a suite's others are not planned for it."""

DISTRIBUTIONS = {
    ("keras", "onnx"): ("keras", "onnx", "tensorflow", "tf2onnx"),
    ("pytorch", "onnx"): ("onnx", "onnxscript", "torch"),
    ("keras", "coreml"): ("coremltools", "keras", "tensorflow"),
    ("pytorch", "coreml"): ("coremltools", "torch"),
}
"""(source framework, format) -> what converts, whose versions decide what comes out."""

_UNSUPPORTED = re.compile(
    r"No Op registered for \S+"  # the ONNX checker, after tf2onnx let an operator through
    r"|No ONNX function found for [^>]*>"  # torch.onnx
    r"|(PyTorch convert function|Conversion) for (TF )?op '[^']*' not implemented"  # coremltools
)


@contextmanager
def telling_unsupported_operators() -> Iterator[None]:
    """Around a converter: tells operators that it does not know from other failures.

    Raises:
        CaseFailure: (convert, unsupported-operator).
    """
    try:
        yield
    except Exception as error:
        unknown = next(filter(None, map(_UNSUPPORTED.search, _chain(error))), None)
        if unknown is None:
            raise
        message = f"{type(error).__name__}: {' '.join(unknown[0].split())}; replace the operator in the model"
        raise CaseFailure(Stage.CONVERT, Symptom.UNSUPPORTED_OPERATOR, message) from error


def _chain(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        yield str(error)
        error = error.__cause__ or error.__context__
