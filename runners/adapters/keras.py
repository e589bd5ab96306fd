"""Keras with its TensorFlow backend: `.keras` archives in safe mode, called as one compiled function."""

import os
import tempfile
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "tensorflow"  # read by Keras while it is imported

import keras
import numpy as np
import tensorflow as tf

from runners.adapters import Array, Arrays, Placement, TensorSpec, _archive
from runners.failure import Failure, words

FORMATS = ("keras",)
MEASURES = True


def versions() -> dict[str, str]:
    """Keras and the backend that computes; TensorFlow does not say which oneDNN it has."""
    build = tf.sysconfig.get_build_info()
    on_gpus = {name: build[f"{name}_version"] for name in ("cuda", "cudnn") if f"{name}_version" in build}
    return {"keras": keras.__version__, "tensorflow": tf.__version__, **on_gpus}


def devices() -> list[str]:
    """The CPU, and every GPU that TensorFlow shows."""
    return ["cpu", *(f"cuda:{index}" for index in range(len(tf.config.list_physical_devices("GPU"))))]


def check(path: Path) -> None:
    """See `_archive.check`."""
    _archive.check(path)


def load(path: Path, device: str, threads: int) -> "KerasModel":
    """The model without its optimizer; TensorFlow sees no other device than `device` and places nothing elsewhere.

    Raises:
        Failure: load, refused: not a `.keras` archive, or one that would execute code.
    """
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    gpus = [] if device == "cpu" else [tf.config.list_physical_devices("GPU")[int(device.partition(":")[2])]]
    tf.config.set_visible_devices(gpus, "GPU")
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)  # else it takes all of the device's memory at once
    tf.config.set_soft_device_placement(False)
    with tempfile.TemporaryDirectory() as folder:
        named = Path(folder, "model.keras")  # Keras goes by the suffix
        named.symlink_to(path)
        try:
            model = keras.saving.load_model(named, compile=False, safe_mode=True)
        except Exception as error:  # Keras raises whatever its parts raise on a broken archive
            raise Failure("load", "refused", f"keras.saving.load_model: {words(error)}") from error
    return KerasModel(model, device)


class KerasModel:
    """A Keras model as a TensorFlow function whose free sizes stay free, so it is traced once.

    TensorFlow numbers the devices that it sees, and it sees one: its "GPU:0" is `device`, whatever that one's number.
    """

    def __init__(self, model: Any, device: str) -> None:
        self._model = model
        self._device = device
        self._logical_device = "CPU:0" if device == "cpu" else "GPU:0"
        self.inputs = [TensorSpec(tensor.name, tensor.dtype, tuple(tensor.shape)) for tensor in model.inputs]
        self._function = tf.function(
            self._call, [tf.TensorSpec(spec.shape, spec.dtype) for spec in self.inputs], jit_compile=False
        )

    def _call(self, *tensors: Any) -> list[Any]:
        inputs = tensors[0] if len(tensors) == 1 else list(tensors)
        return list(tf.nest.flatten(self._model(inputs, training=False)))

    def bind(self, inputs: Arrays, compute_only: bool) -> Callable[[], object]:
        """The function, traced once, on tensors made before; end to end on a GPU they are made in the call.

        A GPU is waited for: by synchronising the devices or, end to end, by the outputs' copies to the host.
        """
        arrays = [inputs[spec.name] for spec in self.inputs]
        with tf.device(f"/device:{self._logical_device}"):
            compute = self._function.get_concrete_function()
            tensors = [tf.constant(array) for array in arrays]
        if self._device == "cpu":
            return partial(compute, *tensors)
        if compute_only:
            return partial(_compute, compute, tensors)
        return partial(_copy_and_compute, compute, arrays)

    def fetch(self, result: object) -> dict[str, Array]:
        """Outputs in the model's order, flattened."""
        return {f"output_{index}": np.asarray(output) for index, output in enumerate(tf.nest.flatten(result))}

    def placement(self) -> Placement:
        """Devices of the weights."""
        found = (weight.value.device.rpartition("device:")[2] for weight in self._model.weights)
        return Placement(
            dict(Counter(self._device if name == self._logical_device else name for name in found)), "tensors"
        )

    def device_peak_bytes(self) -> int:
        """Of all tensors at once, as TensorFlow's allocator counts them."""
        return 0 if self._device == "cpu" else int(tf.config.experimental.get_memory_info(self._logical_device)["peak"])

    def threads_in_force(self) -> dict[str, int]:
        """TensorFlow's pools."""
        threading = tf.config.threading
        return {
            "intra_op": threading.get_intra_op_parallelism_threads(),
            "inter_op": threading.get_inter_op_parallelism_threads(),
        }

    def close(self) -> None:
        """Forgets the model."""
        del self._model, self._function


def _compute(compute: Any, tensors: list[Any]) -> object:
    result = compute(*tensors)
    tf.test.experimental.sync_devices()
    return result


def _copy_and_compute(compute: Any, arrays: list[Array]) -> object:
    return [output.numpy() for output in compute(*map(tf.constant, arrays))]  # .numpy() waits
