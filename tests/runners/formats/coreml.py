"""The dense model as a packed ML Program."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.runners.formats._archive import leading_out

__all__ = ["dense", "leading_out"]

MOST_SAMPLES = 1 << 18
"""Where a range wants a bound."""


def dense(folder: Path, batch: Any, bias: NDArray[np.float32], weights: NDArray[np.float32]) -> bytes:
    """See models.dense."""
    import coremltools as ct
    from coremltools.converters.mil import Builder

    sizes = batch if isinstance(batch, tuple) else (batch or ct.RangeDim(1, MOST_SAMPLES),)
    shapes = [ct.Shape((size, len(weights))) for size in sizes]
    given = ct.TensorType("x", shapes[0] if len(shapes) == 1 else ct.EnumeratedShapes(shapes), np.float32)

    def function(x: Any) -> Any:
        return Builder.relu(x=Builder.linear(x=x, weight=weights.T, bias=bias))

    program = Builder.program(input_specs=[Builder.TensorSpec(given.shape.symbolic_shape)])(function)
    package = folder / "model.mlpackage"
    options = {"compute_precision": ct.precision.FLOAT32, "minimum_deployment_target": ct.target.macOS13}
    ct.convert(program, inputs=[given], skip_model_load=True, **options).save(str(package))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        for path in sorted(package.rglob("*")):
            packed.write(path, path.relative_to(package))
    return file.getvalue()
