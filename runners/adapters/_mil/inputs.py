"""What the package accepts as inputs, and a batch cut into pieces that it takes."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import EllipsisType

from coremltools.proto import FeatureTypes_pb2, Model_pb2

from runners.adapters import Array, Arrays, TensorSpec
from runners.adapters._batches import parts
from runners.failure import Failure

# Lowest and highest size of an axis; the highest is None where it has no bound.
Range = tuple[int, int | None]

_ARRAY = FeatureTypes_pb2.ArrayFeatureType
_DTYPES = {
    _ARRAY.FLOAT16: "float16",
    _ARRAY.FLOAT32: "float32",
    _ARRAY.DOUBLE: "float64",
    _ARRAY.INT8: "int8",
    _ARRAY.INT32: "int32",
}


@dataclass(frozen=True)
class Input:
    """One input: NumPy's name of its type, and the shapes of which it takes any."""

    name: str
    dtype: str
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
        """What the runtime takes: float32 for whatever floating point the package declares, any number of samples."""
        dtype = "float32" if self.dtype.startswith("float") else self.dtype
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

    def __str__(self) -> str:
        return " or ".join(f"({', '.join(_words(size) for size in shape)})" for shape in self.shapes)


def _words(size: Range) -> str:
    low, high = size
    if low == high:
        return str(low)
    return f"{low} to {high}" if high is not None else f"at least {low}"


def read_inputs(specification: Model_pb2.Model) -> tuple[Input, ...]:
    """The inputs that the package describes.

    Raises:
        Failure: (load, refused) an input that is not a tensor.
    """
    return tuple(_read_input(feature) for feature in specification.description.input)


def _read_input(feature: Model_pb2.FeatureDescription) -> Input:
    array = feature.type.multiArrayType
    if feature.type.WhichOneof("Type") != "multiArrayType" or array.dataType not in _DTYPES:
        raise Failure("load", "refused", f"input {feature.name!r} is not a tensor: convert with tensors as inputs")
    return Input(feature.name, _DTYPES[array.dataType], _shapes(array))


def _shapes(array: FeatureTypes_pb2.ArrayFeatureType) -> tuple[tuple[Range, ...], ...]:
    match array.WhichOneof("ShapeFlexibility"):
        case "shapeRange":
            ranges = array.shapeRange.sizeRanges
            # The specification writes "no upper bound" as a negative number.
            return (tuple((size.lowerBound, size.upperBound if size.upperBound >= 0 else None) for size in ranges),)
        case "enumeratedShapes":
            return tuple(tuple((size, size) for size in shape.shape) for shape in array.enumeratedShapes.shapes)
    return (tuple((size, size) for size in array.shape),)


def cut(inputs: Sequence[Input], arrays: Arrays) -> list[dict[str, Array]]:
    """The arrays as one piece where the package takes so many samples, else as the largest pieces that it does take.

    Raises:
        Failure: (infer, refused) a number of samples that cannot be cut so, or another size that it does not take.
    """
    pieces = [{name: array[part] for name, array in arrays.items()} for part in _parts(inputs, arrays)]
    for given in inputs:
        for piece in pieces:
            shape = piece[given.name].shape
            if not given.takes(shape):
                raise Failure("infer", "refused", f"input {given.name!r} takes the shape {given}, given {shape}")
    return pieces


def _parts(inputs: Sequence[Input], arrays: Arrays) -> list[slice] | list[EllipsisType]:
    choices = {given.batch_sizes for given in inputs}
    sizes = choices.pop() if len(choices) == 1 else None
    if sizes is None:
        return [...]
    count = max(len(arrays[given.name]) for given in inputs)
    return parts(count, sizes, f"input {inputs[0].name!r} takes the shape {inputs[0]}")
