"""ONNX Runtime's TensorRT execution provider: an engine of its own.

It builds a plan for the model while it loads it or, where sizes are free, at the first inference of each size. What
TensorRT does not take is not given to the CUDA provider: such a model fails with the symptom `placement`.
"""

import ctypes
from importlib import util
from pathlib import Path

from runners.adapters import _onnxruntime
from runners.adapters._onnxruntime import OnnxRuntimeModel, check

__all__ = ["FORMATS", "MEASURES", "check", "devices", "load", "versions"]

FORMATS = ("onnx",)
MEASURES = True

_PROVIDER = "TensorrtExecutionProvider"
_LIBRARIES = ("libnvinfer.so.10", "libnvinfer_plugin.so.10", "libnvonnxparser.so.10")


def _libraries() -> list[ctypes.CDLL]:
    """TensorRT's, from their own package or from where the system has them; the provider finds what is loaded.

    Raises:
        ImportError: they are in neither place.
    """
    package = util.find_spec("tensorrt_libs")
    folder = Path(package.origin).parent if package and package.origin else Path()
    try:
        return [ctypes.CDLL(str(folder / name)) for name in _LIBRARIES]
    except OSError as error:
        raise ImportError(f"install TensorRT 10, for example the package tensorrt-cu13-libs ({error})") from None


_TENSORRT, *_ = _libraries()


def versions() -> dict[str, str]:
    """ONNX Runtime's, CUDA's and TensorRT's, which it tells as one number: 101501 is 10.15.1."""
    number = int(_TENSORRT.getInferLibVersion())
    return _onnxruntime.versions() | {"tensorrt": f"{number // 10000}.{number // 100 % 100}.{number % 100}"}


def devices() -> list[str]:
    """CUDA's only."""
    return _onnxruntime.cuda_devices(_PROVIDER)


def load(path: Path, device: str, threads: int) -> OnnxRuntimeModel:
    """See `_onnxruntime.load`."""
    return _onnxruntime.load(path, device, threads, _PROVIDER)
