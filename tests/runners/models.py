"""Tiny models in every format: all compute relu(x W + b), so that plain NumPy knows the answers."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

FEATURES = 4
MOST_SAMPLES = 1 << 18
"""Where a format wants a bound."""
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
    """The model as an artifact of the format `form`; `batch` fixes its batch size, or several of a Core ML package."""
    makers = {"onnx": _dense_onnx, "pt2": _dense_pt2, "keras": _dense_keras, "coreml": _dense_coreml}
    return makers[form](folder, batch, bias, weights)


def _dense_onnx(folder: Path, batch: int | None, bias: NDArray[np.float32], weights: NDArray[np.float32]) -> bytes:
    nodes = [
        helper.make_node("MatMul", ["x", "weights"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["sum"]),
        helper.make_node("Relu", ["sum"], ["y"]),
    ]
    return onnx_model(nodes, [batch or "batch", len(weights)], {"weights": weights, "bias": bias})


def _dense_pt2(folder: Path, batch: int | None, bias: NDArray[np.float32], weights: NDArray[np.float32]) -> bytes:
    import torch

    module = torch.nn.Sequential(torch.nn.Linear(*weights.shape), torch.nn.ReLU()).eval()
    module.load_state_dict({"0.weight": torch.from_numpy(weights.T.copy()), "0.bias": torch.from_numpy(bias)})
    free = None if batch else ({0: torch.export.Dim.DYNAMIC},)
    program = torch.export.export(module, (torch.zeros(batch or 2, len(weights)),), dynamic_shapes=free)
    file = io.BytesIO()
    torch.export.save(program, file)
    return file.getvalue()


def _dense_keras(folder: Path, batch: int | None, bias: NDArray[np.float32], weights: NDArray[np.float32]) -> bytes:
    import keras

    model = keras.Sequential(
        [keras.Input(batch_shape=(batch, len(weights))), keras.layers.Dense(weights.shape[1], "relu")]
    )
    model.set_weights([weights, bias])
    model.save(folder / "model.keras")
    return (folder / "model.keras").read_bytes()


def _dense_coreml(folder: Path, batch: Any, bias: NDArray[np.float32], weights: NDArray[np.float32]) -> bytes:
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


def onnx_model(nodes: list[onnx.NodeProto], shape: list[Any], constants: dict[str, NDArray[Any]]) -> bytes:
    """A graph from x to y."""
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())
