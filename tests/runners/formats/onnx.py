"""The dense model in ONNX."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper


def dense(folder: Path, batch: int | None, bias: NDArray[np.float32], weights: NDArray[np.float32]) -> bytes:
    """See models.dense."""
    nodes = [
        helper.make_node("MatMul", ["x", "weights"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["sum"]),
        helper.make_node("Relu", ["sum"], ["y"]),
    ]
    return model(nodes, [batch or "batch", len(weights)], {"weights": weights, "bias": bias})


def convolution(folder: Path, weights: NDArray[np.float32]) -> bytes:
    """See models.convolution."""
    node = helper.make_node("Conv", ["x", "weights"], ["y"], pads=[1, 1, 1, 1])
    return model([node], ["batch", weights.shape[1], "height", "width"], {"weights": weights})


def leading_out(artifact: bytes, elsewhere: str) -> tuple[bytes, str]:
    """With a tensor in another file."""
    made = onnx.load_from_string(artifact)
    tensor = made.graph.initializer[0]
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=elsewhere)
    return bytes(made.SerializeToString()), "another file"


def model(nodes: list[onnx.NodeProto], shape: list[Any], constants: dict[str, NDArray[Any]]) -> bytes:
    """A graph from x to y."""
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(made.SerializeToString())
