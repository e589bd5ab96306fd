"""A stand-in for what coremltools has on a Mac only: `libcoremlpython`, its calls into Core ML.

It records the calls that it gets. Its answers are those of coreml-reference for the very package, its compute plan has
the very program's operations, so that everything above it is real.
"""

import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from coremltools.models import _compiled_model, compute_device, compute_plan, model, utils
from coremltools.proto import MIL_pb2
from numpy.typing import NDArray

from runners.adapters import Adapter, coreml_reference, import_adapter
from runners.adapters._mil import inputs, package, program

Answer = dict[str, NDArray[Any]]


@dataclass
class System:
    """A Mac as the test wants it.

    Attributes:
        available: kinds of processors that it has.
        prefers: operator -> kind of processor that the compute plan names for it, None for none.
        refuses: what the compiler says instead of compiling.
        calls: name of the call and its arguments, in order.
    """

    available: tuple[str, ...] = ("cpu", "gpu", "neural-engine")
    prefers: Callable[[str], str | None] = lambda _: "cpu"
    refuses: str | None = None
    calls: list[tuple[Any, ...]] = field(default_factory=list)

    def names(self) -> list[str]:
        """Of the calls so far."""
        return [name for name, *_ in self.calls]


@contextmanager
def installed(system: System, macos: str = "15.1") -> Iterator[Adapter]:
    """The adapter of Core ML, imported where this is the system."""
    library: Any = ModuleType("coremltools.libcoremlpython")
    library._MLModelProxy = type("_MLModelProxy", (_ModelProxy,), {"system": system})
    library._MLComputePlanProxy = _PlanProxy
    for kind in ("CPU", "GPU", "NeuralEngine"):
        setattr(library, f"_ML{kind}ComputeDeviceProxy", _DeviceProxy)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, library.__name__, library)
        for module in (_compiled_model, compute_device, compute_plan, model):
            for name in filter(re.compile("_ML.*Proxy").fullmatch, vars(library).keys() & vars(module).keys()):
                patch.setattr(module, name, getattr(library, name))
        version = tuple(map(int, macos.split(".")))
        for module in (_compiled_model, model, utils):
            patch.setattr(module, "_macos_version", lambda: version)
        patch.setattr("platform.system", lambda: "Darwin")
        patch.setattr("platform.mac_ver", lambda: (macos, ("", "", ""), "arm64"))
        try:
            yield import_adapter("coreml")
        finally:
            for name in ("runners.adapters.coreml", "runners.adapters._mil.framework"):
                sys.modules.pop(name, None)


_DEVICES = {
    "cpu": compute_device.MLCPUComputeDevice,
    "gpu": compute_device.MLGPUComputeDevice,
    "neural-engine": compute_device.MLNeuralEngineComputeDevice,
}


class _DeviceProxy:
    """Of a processor."""


class _ModelProxy:
    """Loads and answers; as the real one, it loads what is compiled and knows the compute units by name."""

    system: System

    def __init__(self, path: str, units: str, function: str, hints: dict[str, str], asset: object) -> None:
        assert Path(path).suffix == ".mlmodelc"
        assert (function, hints, asset) == ("", {}, None)
        self.system.calls.append(("load", path, units))
        loaded = package.read(Path(path).resolve())
        self._inputs = inputs.read_inputs(loaded.specification)
        self._reference = coreml_reference.Model(program.load_program(loaded), self._inputs)

    @classmethod
    def compileModel(cls, path: str) -> str:  # noqa: N802 - the real one's name
        cls.system.calls.append(("compile", path))
        if cls.system.refuses:
            raise RuntimeError(f'Error compiling model: "{cls.system.refuses}".')
        return shutil.copytree(path, tempfile.mkdtemp(suffix=".mlmodelc"), dirs_exist_ok=True)

    def predict(self, data: Answer, state: object) -> Answer:
        assert state is None
        self.system.calls.append(("predict", _shapes(data)))
        return self._answer(data)

    def batchPredict(self, batch: list[Answer]) -> list[Answer]:  # noqa: N802
        self.system.calls.append(("batchPredict", *map(_shapes, batch)))
        return [self._answer(data) for data in batch]

    def _answer(self, data: Answer) -> Answer:
        assert all(given.takes(data[given.name].shape) for given in self._inputs)
        return self._reference.fetch(self._reference.bind(data, compute_only=False)())

    @classmethod
    def get_available_compute_devices(cls) -> list[Any]:
        return [_DEVICES[name](_DeviceProxy()) for name in cls.system.available]

    @classmethod
    def get_compute_plan(cls, path: str, units: str) -> compute_plan.MLComputePlan:
        cls.system.calls.append(("plan", path, units))
        specification = package.read(Path(path).resolve()).specification
        return compute_plan.MLComputePlan(_PlanProxy(specification, cls.system.prefers))


class _PlanProxy:
    """A program's operations and where they are preferred."""

    def __init__(self, specification: Any, prefers: Callable[[str], str | None]) -> None:
        main = specification.mlProgram.functions["main"]
        block = _block(main.block_specializations[main.opset])
        function = compute_plan.MLModelStructureProgramFunction(inputs=[], block=block)
        whole = compute_plan.MLModelStructureProgram(functions={"main": function})
        self.model_structure = compute_plan.MLModelStructure(neuralnetwork=None, program=whole, pipeline=None)
        self._prefers = prefers

    def get_compute_device_usage_for_mlprogram_operation(self, operation: Any) -> Any:
        name = self._prefers(operation.operator_name.rpartition(".")[2])
        if operation.operator_name == "const" or name is None:
            return None
        preferred = _DEVICES[name](_DeviceProxy())
        return compute_plan.MLComputePlanDeviceUsage(preferred, [preferred])


def _shapes(data: Answer) -> dict[str, tuple[int, ...]]:
    assert type(data) is dict
    return {name: array.shape for name, array in data.items()}


def _block(message: MIL_pb2.Block) -> Any:
    """As Core ML describes it: each operator but `const` with its opset before it."""
    operations = [
        compute_plan.MLModelStructureProgramOperation(
            inputs={},
            operator_name=operation.type if operation.type == "const" else f"ios16.{operation.type}",
            outputs=[],
            blocks=[_block(inner) for inner in operation.blocks],
            __proxy__=None,
        )
        for operation in message.operations
    ]
    return compute_plan.MLModelStructureProgramBlock(inputs=[], operations=operations, output_names=[])
