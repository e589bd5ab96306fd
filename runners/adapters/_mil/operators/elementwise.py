"""Operators that work element by element, and reductions."""

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

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


def softly_cut(function: Callable[[Value, float], Value], default: float) -> Operator:
    """An activation with one parameter, `alpha`."""

    def operator(x: Value, alpha: Value = default) -> Value:
        return function(x, float(alpha))

    return operator


def with_epsilon(function: Callable[[Value], Value], default: float) -> Operator:
    """An operator of one argument, to which a little is added first."""

    def operator(x: Value, epsilon: Value = default) -> Value:
        return function(x + epsilon)

    return operator


def gelu(x: Value, mode: str = "EXACT") -> Value:
    """x times the normal distribution's cumulative probability of x, or an approximation of that."""
    if mode == "SIGMOID_APPROXIMATION":
        return x * torch.sigmoid(1.702 * x)
    return functional.gelu(x, approximate={"EXACT": "none", "TANH_APPROXIMATION": "tanh"}[mode])


def sigmoid_hard(x: Value, alpha: Value = 0.2, beta: Value = 0.5) -> Value:
    """alpha * x + beta, limited to 0 to 1."""
    return torch.clamp(x * alpha + beta, 0, 1)


def l2_norm(x: Value, **axes: Any) -> Value:
    """The root of the sum of squares."""
    return torch.linalg.vector_norm(x, **axes)


OPERATORS: dict[str, Operator] = {
    "abs": unary(torch.abs),
    "add": binary(torch.add),
    "cast": cast,
    "ceil": unary(torch.ceil),
    "clip": clip,
    "cos": unary(torch.cos),
    "elu": softly_cut(functional.elu, 1.0),
    "equal": binary(torch.eq),
    "erf": unary(torch.erf),
    "exp": unary(torch.exp),
    "floor": unary(torch.floor),
    "floor_div": binary(torch.floor_divide),
    "gelu": gelu,
    "greater": binary(torch.gt),
    "greater_equal": binary(torch.ge),
    "identity": unary(lambda x: x),
    "inverse": with_epsilon(torch.reciprocal, 1e-4),
    "leaky_relu": softly_cut(functional.leaky_relu, 0.01),
    "less": binary(torch.lt),
    "less_equal": binary(torch.le),
    "log": with_epsilon(torch.log, 1e-45),
    "logical_and": binary(torch.logical_and),
    "logical_not": unary(torch.logical_not),
    "logical_or": binary(torch.logical_or),
    "maximum": binary(torch.maximum),
    "minimum": binary(torch.minimum),
    "mod": binary(torch.remainder),
    "mul": binary(torch.mul),
    "not_equal": binary(torch.ne),
    "pow": binary(torch.pow),
    "real_div": binary(torch.true_divide),
    "reduce_l2_norm": reduction(l2_norm),
    "reduce_max": reduction(torch.amax),
    "reduce_mean": reduction(torch.mean),
    "reduce_min": reduction(torch.amin),
    "reduce_sum": reduction(torch.sum),
    "relu": unary(torch.relu),
    "relu6": unary(functional.relu6),
    "round": unary(torch.round),
    "rsqrt": with_epsilon(torch.rsqrt, 1e-12),
    "sigmoid": unary(torch.sigmoid),
    "sigmoid_hard": sigmoid_hard,
    "sign": unary(torch.sign),
    "silu": unary(functional.silu),
    "sin": unary(torch.sin),
    "softplus": unary(functional.softplus),
    "softsign": unary(functional.softsign),
    "sqrt": unary(torch.sqrt),
    "square": unary(torch.square),
    "sub": binary(torch.sub),
    "tanh": unary(torch.tanh),
    "thresholded_relu": softly_cut(lambda x, alpha: torch.where(x >= alpha, x, torch.zeros_like(x)), 1.0),
}
