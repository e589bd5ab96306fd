"""Operators that make weights of what is stored in fewer bits."""

from runners.adapters._mil.tensors import Operator, Value, integer


def affine_dequantize(quantized_data: Value, zero_point: Value, scale: Value, axis: Value) -> Value:
    """scale * (data - zero point), both one number or one per place along the axis."""
    place = integer(axis) % quantized_data.dim()
    shape = [size if index == place else 1 for index, size in enumerate(quantized_data.shape)]

    def along(numbers: Value) -> Value:
        return numbers.reshape(shape if numbers.numel() > 1 else [1] * len(shape))

    return along(scale) * (quantized_data.to(scale.dtype) - along(zero_point).to(scale.dtype))


OPERATORS: dict[str, Operator] = {"constexpr_affine_dequantize": affine_dequantize}
