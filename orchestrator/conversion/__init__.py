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
    packages that convert from a source framework, whose versions decide what comes out.
    """

    precisions: tuple[str, ...]
    distributions: Mapping[str, tuple[str, ...]]


CONVERSIONS = {
    "onnx": Conversion(
        precisions=("float32",),
        distributions={
            "keras": ("keras", "onnx", "tensorflow", "tf2onnx"),
            "pytorch": ("onnx", "onnxscript", "torch"),
        },
    ),
    "coreml": Conversion(
        precisions=("float32", "float16"),
        distributions={"keras": ("coremltools", "keras", "tensorflow"), "pytorch": ("coremltools", "torch")},
    ),
}
"""By format, which is also the name of the module here that has `convert(source_framework, source, target, precision)`,
which gives facts on what it wrote, and of the one in `orchestrator.inspection`, which reads it."""

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
