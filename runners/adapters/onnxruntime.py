"""ONNX Runtime on its CPU or its CUDA execution provider."""

from pathlib import Path

from runners.adapters import _onnxruntime
from runners.adapters._onnxruntime import OnnxRuntimeModel, check, versions

__all__ = ["FORMATS", "MEASURES", "check", "devices", "load", "versions"]

FORMATS = ("onnx",)
MEASURES = True

_CUDA = "CUDAExecutionProvider"


def devices() -> list[str]:
    """The CPU and, where this build has the provider, the driver's CUDA devices."""
    return ["cpu", *_onnxruntime.cuda_devices(_CUDA)]


def load(path: Path, device: str, threads: int) -> OnnxRuntimeModel:
    """See `_onnxruntime.load`."""
    return _onnxruntime.load(path, device, threads, "CPUExecutionProvider" if device == "cpu" else _CUDA)
