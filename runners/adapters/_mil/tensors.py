"""Types of the ML Program in torch's words."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from coremltools.proto import MIL_pb2

# What an operation takes or gives: a tensor (scalars and numeric constants too), a string, or several of these.
Value = Any
Operator = Callable[..., Value]

# Torch has few operators for the wider unsigned integers; the next wider signed type holds the same numbers.
DTYPES: dict[int, torch.dtype] = {
    MIL_pb2.BOOL: torch.bool,
    MIL_pb2.FLOAT16: torch.float16,
    MIL_pb2.FLOAT32: torch.float32,
    MIL_pb2.FLOAT64: torch.float64,
    MIL_pb2.INT8: torch.int8,
    MIL_pb2.INT16: torch.int16,
    MIL_pb2.INT32: torch.int32,
    MIL_pb2.INT64: torch.int64,
    MIL_pb2.UINT8: torch.uint8,
    MIL_pb2.UINT16: torch.int32,
    MIL_pb2.UINT32: torch.int64,
}


@dataclass(frozen=True)
class Declaration:
    """What the program declares of one value; `dtype` is None for what is no tensor, a size where it is open."""

    name: str
    dtype: torch.dtype | None
    shape: tuple[int | None, ...]

    def settle(self, value: Value) -> Value:
        """The value in its declared type.

        Raises:
            ValueError: its shape is not the declared one.
        """
        if self.dtype is None:
            return value
        if len(value.shape) != len(self.shape) or any(
            declared not in (None, size) for size, declared in zip(value.shape, self.shape, strict=True)
        ):
            raise ValueError(f"gave the shape {tuple(value.shape)} where the program declares {self.shape}")
        return value.to(self.dtype)


def declaration(named: MIL_pb2.NamedValueType) -> Declaration:
    """Reads what the program says of one value."""
    if named.type.WhichOneof("type") != "tensorType":
        return Declaration(named.name, None, ())
    tensor = named.type.tensorType
    sizes = tuple(
        dimension.constant.size if dimension.WhichOneof("dimension") == "constant" else None
        for dimension in tensor.dimensions
    )
    return Declaration(named.name, DTYPES.get(tensor.dataType), sizes)


def integers(value: Value) -> list[int]:
    """A tensor of integers as Python's."""
    return [int(item) for item in value.reshape(-1).tolist()]


def integer(value: Value) -> int:
    """A tensor of one integer as Python's."""
    return int(value)


def flags(value: Value | None, count: int) -> list[bool]:
    """A tensor of truth values as Python's; all false when it is absent."""
    return [False] * count if value is None else [bool(item) for item in value.reshape(-1).tolist()]


def several(value: Value) -> Sequence[Value]:
    """The values bound to an argument that may take many."""
    return value if isinstance(value, tuple) else (value,)
