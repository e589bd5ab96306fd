"""What the package accepts as inputs, and the fitting of a batch to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from coremltools.proto import FeatureTypes_pb2, Model_pb2
from numpy.typing import NDArray

from runners.adapters import TensorSpec
from runners.adapters._mil.tensors import Declaration
from runners.failure import Failure

# Lowest and highest size of an axis; the highest is None where it has no bound.
Range = tuple[int, int | None]


@dataclass(frozen=True)
class Input:
    """One input: its type, and the shapes of which it takes any."""

    name: str
    dtype: torch.dtype
    shapes: tuple[tuple[Range, ...], ...]

    @property
    def fixed_sizes(self) -> tuple[int | None, ...]:
        """Size of each axis; None where several are possible. Shapes to choose from have as many axes each."""
        axes = ({bound for bounds in ranges for bound in bounds} for ranges in zip(*self.shapes, strict=True))
        return tuple(bounds.pop() if len(bounds) == 1 else None for bounds in axes)

    @property
    def batch_sizes(self) -> tuple[int, ...] | None:
        """Numbers of samples to choose from, the largest first; None where any of a range may be."""
        if not self.shapes[0] or any(low != high for (low, high), *_ in self.shapes):
            return None
        return tuple(sorted({low for (low, _), *_ in self.shapes}, reverse=True))

    @property
    def specification(self) -> TensorSpec:
        """What the runtime takes: float32 for whatever floating point the program declares, any number of samples."""
        dtype = "float32" if self.dtype.is_floating_point else str(self.dtype).removeprefix("torch.")
        return TensorSpec(self.name, dtype, (None, *self.fixed_sizes[1:]) if self.shapes[0] else ())

    def takes(self, shape: Sequence[int]) -> bool:
        """Whether the shape is one of those that it takes."""
        return any(
            len(shape) == len(wanted)
            and all(
                low <= size and (high is None or size <= high) for size, (low, high) in zip(shape, wanted, strict=True)
            )
            for wanted in self.shapes
        )

    def fitted(self, array: NDArray[Any]) -> torch.Tensor:
        """The array as a tensor of the declared type: as in Core ML, floating point is rounded to its precision.

        Raises:
            Failure: (infer, refused) a shape that it does not take.
        """
        if not self.takes(array.shape):
            raise Failure("infer", "refused", f"input {self.name!r} takes the shape {self}, given {array.shape}")
        # A copy: what the npz archive or the wire gave may be read-only, which torch does not know.
        return torch.from_numpy(np.array(array)).to(self.dtype)

    def __str__(self) -> str:
        return " or ".join(f"({', '.join(_words(size) for size in shape)})" for shape in self.shapes)


def _words(size: Range) -> str:
    low, high = size
    if low == high:
        return str(low)
    return f"{low} to {high}" if high is not None else f"at least {low}"


def read_inputs(specification: Model_pb2.Model, declared: Sequence[Declaration]) -> tuple[Input, ...]:
    """The inputs of the program, with the shapes that the package's description allows.

    Raises:
        Failure: (load, refused) an input that is not a tensor.
    """
    described = {feature.name: feature.type for feature in specification.description.input}
    inputs = []
    for value in declared:
        feature = described.get(value.name)
        if value.dtype is None or feature is None or feature.WhichOneof("Type") != "multiArrayType":
            raise Failure("load", "refused", f"input {value.name!r} is not a tensor: convert with tensors as inputs")
        inputs.append(Input(value.name, value.dtype, _shapes(feature.multiArrayType)))
    return tuple(inputs)


def _shapes(array: FeatureTypes_pb2.ArrayFeatureType) -> tuple[tuple[Range, ...], ...]:
    match array.WhichOneof("ShapeFlexibility"):
        case "shapeRange":
            ranges = array.shapeRange.sizeRanges
            # The specification writes "no upper bound" as a negative number.
            return (tuple((size.lowerBound, size.upperBound if size.upperBound >= 0 else None) for size in ranges),)
        case "enumeratedShapes":
            return tuple(tuple((size, size) for size in shape.shape) for shape in array.enumeratedShapes.shapes)
    return (tuple((size, size) for size in array.shape),)
