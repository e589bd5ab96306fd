"""Operators with weights or windows: convolution, pooling, matrix products, normalization, softmax."""

import math
from collections.abc import Callable, Sequence

import torch
from torch.nn import functional

from runners.adapters._mil.tensors import Operator, Value, integer, integers

CONVOLUTIONS = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
AVERAGES = {1: functional.avg_pool1d, 2: functional.avg_pool2d, 3: functional.avg_pool3d}
MAXIMA = {1: functional.max_pool1d, 2: functional.max_pool2d, 3: functional.max_pool3d}


def same_padding(sizes: Sequence[int], kernel: Sequence[int], strides: Sequence[int], *, lower: bool) -> list[int]:
    """Padding (before, after of each spatial axis) that gives ceil(size / stride) results.

    Where the total is odd the greater half goes after, or before when `lower`. Source: TensorFlow's "SAME",
    https://www.tensorflow.org/api_docs/python/tf/nn#notes_on_padding_2, which MIL's shape inference follows.
    """
    padding: list[int] = []
    for size, width, stride in zip(sizes, kernel, strides, strict=True):
        total = max((math.ceil(size / stride) - 1) * stride + width - size, 0)
        smaller, greater = total // 2, total - total // 2
        padding += [greater, smaller] if lower else [smaller, greater]
    return padding


def spatial_padding(
    x: Value, kernel: Sequence[int], strides: Sequence[int], pad_type: str, pad: Value | None
) -> list[int]:
    """Padding (before, after of each spatial axis) of a window operator.

    Raises:
        ValueError: MIL has no such `pad_type`.
    """
    match pad_type:
        case "valid":
            return [0] * (2 * len(kernel))
        case "custom":
            return [0] * (2 * len(kernel)) if pad is None else integers(pad)
        case "same" | "same_lower":
            return same_padding(x.shape[2:], kernel, strides, lower=pad_type == "same_lower")
    raise ValueError(f"pad_type {pad_type!r} is none of MIL's: valid, custom, same, same_lower")


def padded(x: Value, padding: Sequence[int], fill: float) -> Value:
    """The tensor with (before, after) elements added to its last axes; torch wants the last axis first."""
    pairs = [padding[index : index + 2] for index in range(0, len(padding), 2)]
    return functional.pad(x, [amount for pair in reversed(pairs) for amount in pair], value=fill)


def is_symmetric(padding: Sequence[int]) -> bool:
    """Whether every axis has as much padding before as after."""
    return list(padding[::2]) == list(padding[1::2])


def conv(
    x: Value,
    weight: Value,
    bias: Value | None = None,
    strides: Value | None = None,
    pad_type: str = "valid",
    pad: Value | None = None,
    dilations: Value | None = None,
    groups: Value = 1,
) -> Value:
    """Convolution over one to three spatial axes; x (samples, channels, spatial...)."""
    rank = x.dim() - 2
    steps = [1] * rank if strides is None else integers(strides)
    spacing = [1] * rank if dilations is None else integers(dilations)
    reach = [(width - 1) * gap + 1 for width, gap in zip(weight.shape[2:], spacing, strict=True)]
    padding = spatial_padding(x, reach, steps, pad_type, pad)
    around: Sequence[int] | int = padding[::2]
    if not is_symmetric(padding):
        x, around = padded(x, padding, 0.0), 0
    return convolved(CONVOLUTIONS[rank], x, weight, bias, steps, around, spacing, integer(groups))


def convolved(
    convolution: Callable[..., Value], x: Value, weight: Value, bias: Value | None, *windows: Sequence[int] | int
) -> Value:
    """In the precision of `x`. PyTorch's convolution in float16 sums in float32 and rounds the sum, too, but takes
    tens of times as long on CPUs."""
    if x.dtype != torch.float16:
        return convolution(x, weight, bias, *windows)
    wide = convolution(x.float(), weight.float(), None if bias is None else bias.float(), *windows)
    return wide.half()


def avg_pool(
    x: Value,
    kernel_sizes: Value,
    pad_type: str,
    strides: Value | None = None,
    pad: Value | None = None,
    exclude_padding_from_average: Value = False,
    ceil_mode: Value = False,
) -> Value:
    """Mean of each window; padded zeros count unless excluded. MIL rounds up only where padding is symmetric."""
    kernel = integers(kernel_sizes)
    steps = [1] * len(kernel) if strides is None else integers(strides)
    padding = spatial_padding(x, kernel, steps, pad_type, pad)
    pool, excluded = AVERAGES[len(kernel)], bool(exclude_padding_from_average)
    if is_symmetric(padding):
        return pool(x, kernel, steps, padding[::2], bool(ceil_mode), not excluded)
    mean = pool(padded(x, padding, 0.0), kernel, steps)
    if not excluded:
        return mean
    return mean / pool(padded(torch.ones_like(x[:1, :1]), padding, 0.0), kernel, steps)


def max_pool(
    x: Value,
    kernel_sizes: Value,
    pad_type: str,
    strides: Value | None = None,
    pad: Value | None = None,
    ceil_mode: Value = False,
) -> Value:
    """Maximum of each window; padding never wins. MIL rounds up only where padding is symmetric."""
    kernel = integers(kernel_sizes)
    steps = [1] * len(kernel) if strides is None else integers(strides)
    padding = spatial_padding(x, kernel, steps, pad_type, pad)
    if is_symmetric(padding):
        return MAXIMA[len(kernel)](x, kernel, steps, padding[::2], 1, bool(ceil_mode))
    return MAXIMA[len(kernel)](padded(x, padding, -math.inf), kernel, steps)


def linear(x: Value, weight: Value, bias: Value | None = None) -> Value:
    """x times the transposed weight, plus the bias."""
    return functional.linear(x, weight, bias)


def matmul(x: Value, y: Value, transpose_x: Value = False, transpose_y: Value = False) -> Value:
    """Matrix product over the last two axes, the others broadcast."""
    left = x.mT if bool(transpose_x) and x.dim() > 1 else x
    right = y.mT if bool(transpose_y) and y.dim() > 1 else y
    return torch.matmul(left, right)


def batch_norm(
    x: Value,
    mean: Value,
    variance: Value,
    gamma: Value | None = None,
    beta: Value | None = None,
    epsilon: Value = 1e-5,
) -> Value:
    """gamma * (x - mean) / sqrt(variance + epsilon) + beta along the second axis."""
    return functional.batch_norm(x, mean, variance, gamma, beta, training=False, eps=float(epsilon))


def layer_norm(
    x: Value, axes: Value | None = None, gamma: Value | None = None, beta: Value | None = None, epsilon: Value = 1e-5
) -> Value:
    """gamma * (x - mean) / sqrt(variance + epsilon) + beta, over the axes, which are all but the first by default."""
    over = sorted(axis % x.dim() for axis in (range(1, x.dim()) if axes is None else integers(axes)))
    mean, variance = x.mean(over, keepdim=True), x.var(over, correction=0, keepdim=True)
    normal = (x - mean) * torch.rsqrt(variance + epsilon)
    shape = [size if axis in over else 1 for axis, size in enumerate(x.shape)]
    scaled = normal if gamma is None else normal * gamma.reshape(shape)
    return scaled if beta is None else scaled + beta.reshape(shape)


def instance_norm(x: Value, gamma: Value | None = None, beta: Value | None = None, epsilon: Value = 1e-5) -> Value:
    """As `layer_norm` over the spatial axes, with gamma and beta along the second axis."""
    return functional.instance_norm(x, weight=gamma, bias=beta, eps=float(epsilon))


def softmax(x: Value, axis: Value = -1) -> Value:
    """Exponentials that sum to one along the axis."""
    return torch.softmax(x, integer(axis))


OPERATORS: dict[str, Operator] = {
    "avg_pool": avg_pool,
    "batch_norm": batch_norm,
    "conv": conv,
    "instance_norm": instance_norm,
    "layer_norm": layer_norm,
    "linear": linear,
    "matmul": matmul,
    "max_pool": max_pool,
    "softmax": softmax,
}
