"""ONNX Runtime: `.onnx` on its CPU or CUDA execution provider, never on another one than asked for."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import onnxruntime as ort
from onnxruntime.capi import build_and_package_info
from onnxruntime.capi import onnxruntime_pybind11_state as errors

from runners.adapters import Array, Arrays, Placement, TensorSpec
from runners.failure import Failure, words

FORMATS = ("onnx",)
MEASURES = True

_DTYPES = {"float": "float32", "double": "float64"}
_UNSUPPORTED = ("No Op registered", "is not a registered function/op", "Could not find an implementation")
_REFUSED = (
    errors.Fail,
    errors.InvalidArgument,
    errors.InvalidGraph,
    errors.InvalidProtobuf,
    errors.NoModel,
    errors.NotImplemented,
)


def versions() -> dict[str, str]:
    """The runtime computes with kernels of its own (MLAS), on GPUs with CUDA's."""
    found = {"onnxruntime": ort.__version__, "cuda": getattr(build_and_package_info, "cuda_version", None)}
    return {name: version for name, version in found.items() if version}


def devices() -> list[str]:
    """Of the execution providers that this build of the runtime has."""
    return ["cpu", "cuda:0"] if "CUDAExecutionProvider" in ort.get_available_providers() else ["cpu"]


def load(path: Path, device: str, threads: int) -> "OnnxRuntimeModel":
    """One session with `threads` intra-operator threads and no parallel execution of operators.

    Raises:
        Failure: load; refused, unsupported-operator or placement.
    """
    provider = "CPUExecutionProvider" if device == "cpu" else "CUDAExecutionProvider"
    try:
        session = ort.InferenceSession(str(path), _options(device, threads), providers=[provider])
    except _REFUSED as error:
        unsupported = isinstance(error, errors.NotImplemented) or any(part in str(error) for part in _UNSUPPORTED)
        raise Failure("load", "unsupported-operator" if unsupported else "refused", words(error)) from error
    if session.get_providers()[0] != provider:
        raise Failure("load", "placement", f"asked for {provider}, the session has {session.get_providers()}")
    return OnnxRuntimeModel(session, device)


def _options(device: str, threads: int) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    if device != "cpu":
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    return options


class OnnxRuntimeModel:
    """A session on one execution provider."""

    def __init__(self, session: ort.InferenceSession, device: str) -> None:
        self._session = session
        self._device = device.partition(":")[0]
        self._outputs = [output.name for output in session.get_outputs()]
        self.inputs = [_spec(argument) for argument in session.get_inputs()]

    def bind(self, inputs: Arrays, compute_only: bool) -> Callable[[], object]:
        """`session.run` itself, or with compute-only the inputs and outputs bound to the device."""
        if not compute_only:
            return partial(self._session.run, self._outputs, dict(inputs))
        binding = self._session.io_binding()
        for name, array in inputs.items():
            binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(array, self._device))
        for name in self._outputs:
            binding.bind_output(name, self._device)

        def run() -> ort.IOBinding:
            self._session.run_with_iobinding(binding)
            return binding

        return run

    def fetch(self, result: object) -> dict[str, Array]:
        """Outputs by the artifact's names."""
        arrays: Any = result.copy_outputs_to_cpu() if isinstance(result, ort.IOBinding) else result
        return dict(zip(self._outputs, arrays, strict=True))

    def placement(self) -> Placement:
        """Nodes by execution provider, as the session assigned them."""
        counts: Counter[str] = Counter()
        for subgraph in self._session.get_provider_graph_assignment_info():
            counts[subgraph.ep_name] += len(subgraph.get_nodes())
        return Placement(dict(counts), "nodes")

    def threads_in_force(self) -> dict[str, int]:
        """The session's pools."""
        options = self._session.get_session_options()
        return {"intra_op": options.intra_op_num_threads, "inter_op": options.inter_op_num_threads}

    def close(self) -> None:
        """Ends the session."""
        del self._session


def _spec(argument: ort.NodeArg) -> TensorSpec:
    element = argument.type.removeprefix("tensor(").removesuffix(")")
    shape = tuple(size if isinstance(size, int) else None for size in argument.shape)
    return TensorSpec(argument.name, _DTYPES.get(element, element), shape)
