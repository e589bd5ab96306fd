"""The table of runners: one row for each runtime and kind of device. Adding a runtime adds a row here."""

from dataclasses import dataclass

SOURCE_FORMATS = {"keras": "keras", "pytorch": "pt2"}
"""Source framework of the zoo -> the format in which its trained models are stored."""

_BROUGHT_FORMATS = SOURCE_FORMATS | {"tensorflow": "savedmodel"}


@dataclass(frozen=True)
class RunnerKind:
    """What a runner of one name executes and where it can live.

    `image` names the requirements file and the image; `measures` is false for a runtime that only answers, because its
    time and memory would say nothing about the real one; `answers` is false for one that computes nothing; `system` is
    the only `platform.system()` that it runs on, None for any; `compiles` is true where a model becomes a library while
    it runs, which its container must be able to load.
    """

    name: str
    runtime: str
    image: str
    devices: tuple[str, ...]
    formats: tuple[str, ...]
    measures: bool = True
    answers: bool = True
    system: str | None = None
    compiles: bool = False

    @property
    def needs_gpu(self) -> bool:
        """Whether it executes on NVIDIA's devices only."""
        return all(device.startswith("cuda:") for device in self.devices)


_KINDS = (
    RunnerKind("onnxruntime-cpu", "onnxruntime", "onnxruntime", ("cpu",), ("onnx",)),
    RunnerKind("keras-cpu", "keras", "keras", ("cpu",), ("keras",)),
    RunnerKind("pytorch-cpu", "pytorch", "pytorch", ("cpu",), ("pt2",)),
    RunnerKind("coreml-reference", "coreml-reference", "coreml-reference", ("cpu",), ("coreml",), measures=False),
    RunnerKind("openvino-cpu", "openvino", "openvino", ("cpu",), ("onnx",)),
    RunnerKind("litert-cpu", "litert", "litert", ("cpu",), ("tflite",)),
    RunnerKind("onnxruntime-cuda", "onnxruntime", "onnxruntime-cuda", ("cuda:0",), ("onnx",)),
    RunnerKind("onnxruntime-tensorrt", "onnxruntime-tensorrt", "onnxruntime-tensorrt", ("cuda:0",), ("onnx",)),
    RunnerKind("pytorch-cuda", "pytorch", "pytorch-cuda", ("cuda:0",), ("pt2",)),
    RunnerKind("pytorch-compile", "pytorch-compile", "pytorch-cuda", ("cuda:0",), ("pt2",), compiles=True),
    RunnerKind("keras-cuda", "keras", "keras-cuda", ("cuda:0",), ("keras",)),
    RunnerKind(
        "coreml",
        "coreml",
        "coreml",
        ("cpu_only", "cpu_and_gpu", "cpu_and_ne", "all"),
        ("coreml",),
        system="Darwin",
    ),
)


def source_format(source_framework: str) -> str:
    """How a model that was trained there is stored; of one that came in another format nobody knows more than that."""
    return _BROUGHT_FORMATS.get(source_framework, source_framework)


def source_framework(format_: str) -> str:
    """The inverse of `source_format`."""
    return next((name for name, stored in _BROUGHT_FORMATS.items() if stored == format_), format_)


def source_runtime(source_framework: str) -> str | None:
    """What a model's conversions are compared with: its framework, or the first that measures its format, if any."""
    stored = source_format(source_framework)
    return next((kind.runtime for kind in _KINDS if stored in kind.formats and kind.measures), None)


FORMATS = tuple(dict.fromkeys((*SOURCE_FORMATS.values(), *(format_ for kind in _KINDS for format_ in kind.formats))))

RUNNERS = {
    kind.name: kind
    for kind in (
        *_KINDS,
        RunnerKind("null", "null", "null", ("cpu",), FORMATS, answers=False),
        # Its format is its own, so no suite can ask for it: it is there for the self-test.
        RunnerKind("known", "known", "null", ("cpu",), ("known",), answers=False),
    )
}

RUNTIMES = tuple(dict.fromkeys(kind.runtime for kind in RUNNERS.values()))
