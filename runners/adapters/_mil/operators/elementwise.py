"""Operators that work element by element, and reductions."""

from collections.abc import Callable

import torch

from runners.adapters._mil.tensors import Operator, Value, integers

# The types that `cast` names, where their names are not torch's own or torch has few operators for them.
CAST_TYPES = {"fp16": torch.float16, "fp32": torch.float32, "fp64": torch.float64, "uint16": torch.int32}


def unary(function: Callable[[Value], Value]) -> Operator:
    """An operator of one argument."""

    def operator(x: Value) -> Value:
        return function(x)

    return operator


def binary(function: Callable[[Value, Value], Value]) -> Operator:
    """An operator of two arguments that are broadcast."""

    def operator(x: Value, y: Value) -> Value:
        return function(x, y)

    return operator


def reduction(function: Callable[..., Value]) -> Operator:
    """An operator that reduces some axes, or all when none are named."""

    def operator(x: Value, axes: Value | None = None, keep_dims: Value = False) -> Value:
        return function(x, dim=list(range(x.dim())) if axes is None else integers(axes), keepdim=bool(keep_dims))

    return operator


def cast(x: Value, dtype: str) -> Value:
    """Converts the elements; from floating point to integers towards zero."""
    return x.to(CAST_TYPES[dtype] if dtype in CAST_TYPES else getattr(torch, dtype))


def clip(x: Value, alpha: Value, beta: Value) -> Value:
    """Limits to the range from alpha to beta."""
    return torch.clamp(x, alpha, beta)


OPERATORS: dict[str, Operator] = {
    "add": binary(torch.add),
    "cast": cast,
    "clip": clip,
    "equal": binary(torch.eq),
    "exp": unary(torch.exp),
    "greater": binary(torch.gt),
    "greater_equal": binary(torch.ge),
    "identity": unary(lambda x: x),
    "less": binary(torch.lt),
    "less_equal": binary(torch.le),
    "logical_and": binary(torch.logical_and),
    "logical_not": unary(torch.logical_not),
    "logical_or": binary(torch.logical_or),
    "maximum": binary(torch.maximum),
    "minimum": binary(torch.minimum),
    "mul": binary(torch.mul),
    "not_equal": binary(torch.ne),
    "real_div": binary(torch.true_divide),
    "reduce_max": reduction(torch.amax),
    "reduce_mean": reduction(torch.mean),
    "reduce_min": reduction(torch.amin),
    "reduce_sum": reduction(torch.sum),
    "relu": unary(torch.relu),
    "sigmoid": unary(torch.sigmoid),
    "sqrt": unary(torch.sqrt),
    "square": unary(torch.square),
    "sub": binary(torch.sub),
    "tanh": unary(torch.tanh),
}
