"""ONNX Runtime: `.onnx` on the one execution provider that was asked for, never on another one."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from onnxruntime.capi import build_and_package_info
from onnxruntime.capi import onnxruntime_pybind11_state as errors

from runner_api.v1 import archives, dtypes
from runners.adapters import Array, Arrays, Placement, TensorSpec, _onnx
from runners.failure import Failure, words
from runners.measure import cuda

if "CUDAExecutionProvider" in ort.get_available_providers():
    ort.preload_dlls()  # CUDA's, from their own packages; other frameworks do that too while they are imported

_DTYPES = {"float": "float32", "double": "float64", "string": dtypes.TEXT}
_ON_CPU = "assigned to the default CPU EP"
_NOT_INSTALLED = "Please install"
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


def cuda_devices(provider: str) -> list[str]:
    """Where a provider of this build computes: a provider that was built is no device."""
    return cuda.devices() if provider in ort.get_available_providers() else []


def check(path: Path) -> None:
    """See `_onnx.check`: the runtime would take data from any file of the artifact's folder, which holds others'."""
    _onnx.check(path)


def load(path: Path, where: str, threads: int, provider: str) -> "OnnxRuntimeModel":
    """One session with `threads` intra-operator threads and no parallel execution of operators.

    Its fall-backs are off, the runtime's own and that of its Python interface, which would go on without the provider.

    Args:
        path: of the artifact.
        where: device in the words of a case.
        threads: at least 1.
        provider: name of the execution provider.

    Raises:
        Failure: load; refused, unsupported-operator, placement or, where libraries are missing, unavailable.
    """
    number = where.partition(":")[2]
    options = {"device_id": number} if number else {}
    try:
        session = _session(path, _session_options(where, threads), providers=[(provider, options)], enable_fallback=0)
    except _REFUSED as error:
        raise _failure(error, provider, where) from error
    except RuntimeError as error:
        if _NOT_INSTALLED not in str(error):
            raise
        raise Failure("load", "unavailable", words(error)) from error
    found = session.get_provider_options().get(provider, {})
    if found.get("device_id", "") != number:
        raise Failure("load", "placement", f"asked for {provider} on {where}, the session has {found or 'none'}")
    _require_tensors(session.get_outputs())
    return OnnxRuntimeModel(session, where)


def _require_tensors(outputs: list[ort.NodeArg]) -> None:
    for output in outputs:
        if not output.type.startswith("tensor("):
            message = f"the output {output.name!r} is a {output.type}, and only tensors are compared"
            raise Failure("load", "refused", f"{message}; leave out what makes it, for example ZipMap of scikit-learn")


def _session(path: Path, options: ort.SessionOptions, **others: Any) -> ort.InferenceSession:
    if not _onnx.is_packed(path):
        return ort.InferenceSession(str(path), options, **others)
    files = _onnx.contents(path)
    model = bytes(files.pop(archives.ONNX_MODEL))
    sizes = [len(content) for content in files.values()]
    options.add_external_initializers_from_files_in_memory(list(files), list(files.values()), sizes)
    return ort.InferenceSession(model, options, **others)


def _failure(error: Exception, provider: str, where: str) -> Failure:
    if _ON_CPU in str(error):
        remedy = "the model needs an operator that the provider lacks, or libraries of the provider are missing"
        return Failure("load", "placement", f"asked for {provider} on {where}: {remedy} ({words(error)})")
    unsupported = isinstance(error, errors.NotImplemented) or any(part in str(error) for part in _UNSUPPORTED)
    return Failure("load", "unsupported-operator" if unsupported else "refused", words(error))


def _session_options(where: str, threads: int) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    if where != "cpu":
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    return options


class OnnxRuntimeModel:
    """A session on one execution provider."""

    def __init__(self, session: ort.InferenceSession, where: str) -> None:
        self._session = session
        kind, _, number = where.partition(":")
        self._place = (kind, int(number or 0))
        self._outputs = [output.name for output in session.get_outputs()]
        self.inputs = [_spec(argument) for argument in session.get_inputs()]

    def bind(self, inputs: Arrays, compute_only: bool) -> Callable[[], object]:
        """`session.run` itself, or with compute-only the inputs and outputs bound to the device, where they stay.

        Both wait for the device: a session ends a run by synchronising its providers, unless that is switched off.
        """
        if not compute_only:
            return partial(self._session.run, self._outputs, dict(inputs))
        binding = self._session.io_binding()
        for name, array in inputs.items():
            binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(array, *self._place))
        for name in self._outputs:
            binding.bind_output(name, *self._place)

        def run() -> ort.IOBinding:
            self._session.run_with_iobinding(binding)
            return binding

        return run

    def fetch(self, result: object) -> dict[str, Array]:
        """Outputs by the artifact's names."""
        arrays: Any = result.copy_outputs_to_cpu() if isinstance(result, ort.IOBinding) else result
        return {name: _plain(array) for name, array in zip(self._outputs, arrays, strict=True)}

    def placement(self) -> Placement:
        """Nodes by execution provider, as the session assigned them."""
        counts: Counter[str] = Counter()
        for subgraph in self._session.get_provider_graph_assignment_info():
            counts[subgraph.ep_name] += len(subgraph.get_nodes())
        return Placement(dict(counts), "nodes")

    def device_peak_bytes(self) -> int:
        """Its Python interface does not tell."""
        return 0

    def threads_in_force(self) -> dict[str, int]:
        """The session's pools."""
        options = self._session.get_session_options()
        return {"intra_op": options.intra_op_num_threads, "inter_op": options.inter_op_num_threads}

    def close(self) -> None:
        """Ends the session."""
        del self._session


def _plain(array: Any) -> Array:
    """Texts come as objects of Python."""
    plain: Array = array.astype(np.str_) if array.dtype.hasobject else array
    return plain


def _spec(argument: ort.NodeArg) -> TensorSpec:
    element = argument.type.removeprefix("tensor(").removesuffix(")")
    shape = tuple(size if isinstance(size, int) else None for size in argument.shape)
    return TensorSpec(argument.name, _DTYPES.get(element, element), shape)
