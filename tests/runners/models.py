"""Tiny models in every format: all compute relu(x W + b), so that plain NumPy knows the answers."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from tests.runners.formats.onnx import model as onnx_model

FEATURES = 4
WEIGHTS = np.random.default_rng(7).normal(size=(FEATURES, 3)).astype(np.float32)
BIAS = np.array([0.5, -0.5, 0.0], np.float32)


def inputs(samples: int) -> NDArray[np.float32]:
    """Random samples, (samples, FEATURES)."""
    return np.random.default_rng(samples).normal(size=(samples, FEATURES)).astype(np.float32)


def answers(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """What every one of the models answers."""
    clipped: NDArray[np.float32] = np.maximum(samples @ WEIGHTS + BIAS, 0)
    return clipped


def dense(
    form: str,
    folder: Path,
    batch: Any = None,
    bias: NDArray[np.float32] = BIAS,
    weights: NDArray[np.float32] = WEIGHTS,
) -> bytes:
    """The model as an artifact of the format `form`; `batch` fixes its batch size, or several of a Core ML package.

    Each format has a module in `formats`, which has its name and makes the model.
    """
    return bytes(_format(form).dense(folder, batch, bias, weights))


def convolution(form: str, folder: Path, weights: NDArray[np.float32]) -> bytes:
    """A convolution of images (channels, 32, 32) within a frame of one zero, with `weights` (out, channels, 3, 3)."""
    return bytes(_format(form).convolution(folder, weights))


def convolved(images: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float64]:
    """What it answers, computed in float64."""
    framed = np.pad(images.astype(np.float64), ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(framed, (1, 1, 3, 3))
    found: NDArray[np.float64] = np.einsum("nchwabij,ocij->nohw", windows, weights.astype(np.float64), optimize=True)
    return found


def leading_out(form: str, artifact: bytes, elsewhere: str) -> tuple[bytes, str]:
    """The artifact with something in it that wants the file `elsewhere`, and what is said of that."""
    made: tuple[bytes, str] = _format(form).leading_out(artifact, elsewhere)
    return made


def _format(form: str) -> Any:
    return importlib.import_module(f"tests.runners.formats.{form}")


def endless_onnx() -> bytes:
    """Counts in a loop for longer than anybody waits."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["go_on"], ["still"]), helper.make_node("Add", ["sum", "sum"], ["next"])],
        "body",
        [
            helper.make_tensor_value_info("iteration", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("sum", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, None),
        ],
    )
    loop = helper.make_node("Loop", ["count", "", "x"], ["y"], body=body)
    return onnx_model([loop], ["batch", FEATURES], {"count": np.array(1 << 60, np.int64)})


def greedy_onnx(elements: int) -> bytes:
    """Fills and sums that many float32 in each inference."""
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["big"]),
        helper.make_node("ReduceSum", ["big"], ["total"], keepdims=0),
        helper.make_node("Add", ["x", "total"], ["y"]),
    ]
    return onnx_model(nodes, ["batch", FEATURES], {"shape": np.array([elements], np.int64)})


def unknown_operator_onnx() -> bytes:
    """Needs an operator that nobody has."""
    return onnx_model([helper.make_node("Frobnicate", ["x"], ["y"])], ["batch", FEATURES], {})
