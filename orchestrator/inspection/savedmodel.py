"""SavedModels of TensorFlow, packed or as the folder that it writes."""

import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from orchestrator.artifacts import JSON
from orchestrator.inspection import members, operators, precision_of, refused, tensor
from runner_api.v1 import archives

SERVED = "serving_default"


def recognises(artifact: Path) -> bool:
    """By the file that holds its graphs."""
    return (artifact / "saved_model.pb").is_file() or "saved_model.pb" in members(artifact)


def read(artifact: Path) -> dict[str, JSON]:
    """Operators of the graph and of its functions, and what it serves; nothing is executed."""
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    with unpacked(artifact) as folder:
        saved = SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    (graph,) = saved.meta_graphs
    nodes = [*graph.graph_def.node, *(node for part in graph.graph_def.library.function for node in part.node_def)]
    served = graph.signature_def[SERVED]
    return {
        "tensorflow_version": graph.meta_info_def.tensorflow_version,
        **operators(Counter(node.op for node in nodes)),
        "inputs": {name: _type(given) for name, given in sorted(served.inputs.items())},
        "outputs": {name: _type(given) for name, given in sorted(served.outputs.items())},
    }


def signature(artifact: Path) -> dict[str, JSON]:
    """Of what it serves, inputs in the order of their names."""
    import tensorflow as tf

    with unpacked(artifact) as folder:
        model = tf.saved_model.load(folder)  # which holds the function's variables
        if SERVED not in model.signatures:
            raise refused(artifact, f"the SavedModel has no signature '{SERVED}'")
        served = model.signatures[SERVED]
        return {
            "precision": precision_of(weight.dtype.name for weight in served.variables),
            "inputs": [
                tensor(name, given.dtype.name, given.shape)
                for name, given in sorted(served.structured_input_signature[1].items())
            ],
        }


@contextmanager
def unpacked(artifact: Path) -> Iterator[Path]:
    """The folder that TensorFlow loads."""
    if artifact.is_dir():
        yield artifact
        return
    with tempfile.TemporaryDirectory() as folder:
        archives.unpack(artifact, Path(folder))
        yield Path(folder)


def _type(given: Any) -> str:
    from tensorflow.core.framework.types_pb2 import DataType

    sizes = ", ".join("?" if size.size < 0 else str(size.size) for size in given.tensor_shape.dim)
    return f"{DataType.Name(given.dtype).removeprefix('DT_').lower()} [{sizes}]"
