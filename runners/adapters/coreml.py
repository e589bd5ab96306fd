"""Core ML itself, through coremltools, on a Mac: a packed .mlpackage, compiled once and loaded for its compute units.

A device is a set of compute units that Core ML may use. Where each operation runs is Core ML's own choice among them,
and its compute plan tells.

Batches: what a package does not take at once goes in as one batch prediction of the largest pieces that it takes.
"""

import platform
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

from runners.adapters import Array, Arrays, Placement, _archive
from runners.adapters._batches import joined
from runners.adapters._mil.framework import coremltools as ct  # before the other two, which import it as it comes
from runners.adapters._mil.inputs import Input, cut, read_inputs
from runners.adapters._mil.package import opened
from runners.failure import Failure, words

FORMATS = ("coreml",)
MEASURES = True

_PROCESSORS = {
    "cpu_only": {"cpu"},
    "cpu_and_gpu": {"cpu", "gpu"},
    "cpu_and_ne": {"cpu", "neural-engine"},
    "all": {"cpu", "gpu", "neural-engine"},
}
"""Device, in capitals the name of a ct.ComputeUnit -> what Core ML may compute on."""
_NAMES = {
    ct.models.compute_device.MLCPUComputeDevice: "cpu",
    ct.models.compute_device.MLGPUComputeDevice: "gpu",
    ct.models.compute_device.MLNeuralEngineComputeDevice: "neural-engine",
}
_UNDETERMINED = "undetermined"


def versions() -> dict[str, str]:
    """The bindings', and macOS's, of which Core ML is a part."""
    return {"coremltools": ct.__version__, "macos": platform.mac_ver()[0]}


def devices() -> list[str]:
    """Those whose every processor is there; "all" is whatever is there."""
    here = {_NAMES[type(device)] for device in ct.models.MLModel.get_available_compute_devices()}
    return [device for device, processors in _PROCESSORS.items() if device == "all" or processors <= here]


def check(path: Path) -> None:
    """See `_archive.check`."""
    _archive.check(path)


def load(path: Path, device: str, threads: int) -> "CoreMLModel":
    """Unpacks, compiles and loads the package: what a first load costs.

    Raises:
        Failure: (load, refused) not a packed ML Program, or one that Core ML does not compile or load.
    """
    del threads  # Core ML chooses its own
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="portbench-coreml-"))
        compiled = f"{folder}/model.mlmodelc"
        with opened(path) as unpacked, _refusing():
            inputs = read_inputs(unpacked.specification)
            package = unpacked.folder.rename(unpacked.folder.with_name("model.mlpackage"))  # compilers go by suffixes
            ct.models.utils.compile_model(str(package), compiled)
            model = ct.models.CompiledMLModel(compiled, ct.ComputeUnit[device.upper()])
        return CoreMLModel(model, device, inputs, stack.pop_all())


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # all that the bindings raise
        raise Failure("load", "refused", f"Core ML: {words(error)}") from error


class CoreMLModel:
    """A compiled model, loaded for a set of compute units; `resources` end with it."""

    def __init__(self, model: Any, device: str, inputs: tuple[Input, ...], resources: ExitStack) -> None:
        self._model = model
        self._device = device
        self._inputs = inputs
        self._resources = resources
        self.inputs = [given.specification for given in inputs]

    def load_again(self) -> None:
        """From what is compiled, and from what the first load of it left in the system's cache."""
        ct.models.CompiledMLModel(self._model.path_or_asset, self._model.compute_unit)

    def bind(self, inputs: Arrays, compute_only: bool) -> Callable[[], object]:
        """One prediction, or one batch prediction where the package does not take so many samples at once.

        Raises:
            Failure: (infer, refused) a number of samples or another size that it does not take, or compute-only
                beyond the CPU.
        """
        if compute_only and self._device != "cpu_only":
            message = f"Core ML copies to and from {self._device} within a prediction; measure it end to end"
            raise Failure("infer", "refused", message)
        pieces = cut(self._inputs, inputs)
        return partial(self._model.predict, pieces if len(pieces) > 1 else pieces[0])

    def fetch(self, result: object) -> dict[str, Array]:
        """Outputs by the package's names."""
        return joined(result if isinstance(result, list) else [cast("Arrays", result)])

    def placement(self) -> Placement:
        """Operations by the processor that the compute plan prefers for them, "undetermined" where it names none."""
        plan = ct.models.compute_plan.MLComputePlan.load_from_path(self._model.path_or_asset, self._model.compute_unit)
        functions = plan.model_structure.program.functions.values()
        counts = Counter(_preferred(plan, each) for function in functions for each in _operations(function.block))
        return Placement(dict(counts), "operations")

    def device_peak_bytes(self) -> int:
        """Core ML does not tell."""
        return 0

    def threads_in_force(self) -> dict[str, int]:
        """None: Core ML is told no number of threads and tells none."""
        return {}

    def close(self) -> None:
        """Removes what was compiled."""
        del self._model
        self._resources.close()


def _operations(block: Any) -> Iterator[Any]:
    """Those of a block of the compute plan and of the blocks in it, constants left out."""
    for operation in block.operations:
        if operation.operator_name != "const":
            yield operation
        for inner in operation.blocks:
            yield from _operations(inner)


def _preferred(plan: Any, operation: Any) -> str:
    usage = plan.get_compute_device_usage_for_mlprogram_operation(operation)
    return _NAMES[type(usage.preferred_compute_device)] if usage else _UNDETERMINED
