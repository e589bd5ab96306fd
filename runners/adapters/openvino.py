"""OpenVINO on its CPU plugin: `.onnx`, read by its own frontend, one stream in one inference at a time."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from runners.adapters import Array, Arrays, Placement, TensorSpec, _onnx
from runners.adapters._absent import absent
from runners.adapters._onnx import check as check
from runners.failure import Failure, words

with absent("openvino_telemetry"):  # which it would tell that it is imported
    import openvino as ov  # type: ignore[import-untyped]
    from openvino import frontend

FORMATS = ("onnx",)
MEASURES = True

_UNSUPPORTED = (frontend.OpConversionFailure, frontend.NotImplementedFailure)
_REFUSED = (frontend.GeneralFailure, frontend.InitializationFailure, frontend.OpValidationFailure, RuntimeError)
_OPTIONS = {
    "PERFORMANCE_HINT": "LATENCY",
    "NUM_STREAMS": 1,
    "INFERENCE_PRECISION_HINT": "f32",  # else a processor that has bfloat16 computes in that
    "ENABLE_CPU_PINNING": False,  # the process's affinity is the harness's to set
}


def versions() -> dict[str, str]:
    """OpenVINO's; it does not say which oneDNN it has."""
    return {"openvino": ov.get_version()}


def devices() -> list[str]:
    """The CPU, for which its plugin is in the package."""
    return [name.lower() for name in ov.Core().available_devices if name == "CPU"]


def load(path: Path, device: str, threads: int) -> "OpenVinoModel":
    """The artifact compiled for one stream of `threads` threads.

    Raises:
        Failure: load; refused or unsupported-operator.
    """
    reader = frontend.FrontEndManager().load_by_framework("onnx")
    try:
        with _onnx.unpacked(path) as file:
            model = reader.convert(reader.load(str(file)))
            compiled = ov.Core().compile_model(model, device.upper(), _OPTIONS | {"INFERENCE_NUM_THREADS": threads})
    except _UNSUPPORTED as error:
        raise Failure("load", "unsupported-operator", words(error)) from error
    except _REFUSED as error:
        raise Failure("load", "refused", words(error)) from error
    return OpenVinoModel(compiled)


class OpenVinoModel:
    """A compiled model with one request."""

    def __init__(self, compiled: Any) -> None:
        self._compiled = compiled
        self._request = compiled.create_infer_request()
        self.inputs = [_spec(port) for port in compiled.inputs]

    def bind(self, inputs: Arrays, compute_only: bool) -> Callable[[], object]:
        """The request on tensors made before; there is no device to copy to."""
        del compute_only
        for name, array in inputs.items():
            self._request.set_tensor(name, ov.Tensor(array))
        infer: Callable[[], object] = self._request.infer  # waits
        return infer

    def fetch(self, result: Any) -> dict[str, Array]:
        """Outputs by the artifact's names."""
        return {port.any_name: result[port] for port in self._compiled.outputs}

    def placement(self) -> Placement:
        """Nodes of the graph that executes, which are all on the devices that execute it."""
        holder = ",".join(self._compiled.get_property("EXECUTION_DEVICES")).lower()
        return Placement({holder: len(self._compiled.get_runtime_model().get_ops())}, "nodes")

    def device_peak_bytes(self) -> int:
        """There is no device but the CPU."""
        return 0

    def threads_in_force(self) -> dict[str, int]:
        """Of the plugin; its streams are inferences side by side."""
        of_property = self._compiled.get_property
        return {"intra_op": int(of_property("INFERENCE_NUM_THREADS")), "inter_op": int(of_property("NUM_STREAMS"))}

    def close(self) -> None:
        """Ends the request and lets the plugin go."""
        del self._request, self._compiled


def _spec(port: Any) -> TensorSpec:
    shape = tuple(size.get_length() if size.is_static else None for size in port.partial_shape)
    return TensorSpec(port.any_name, np.dtype(port.element_type.to_dtype()).name, shape)
