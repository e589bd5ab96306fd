"""PyTorch: `.pt2` archives of torch.export, never a pickle of somebody's class; eager or as somebody compiles them."""

import os
import re
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"  # read by every torch.load, which torch.export.load calls

import torch
from torch.export.passes import move_to_device_pass

from runners.adapters import Array, Arrays, Placement, TensorSpec, _archive
from runners.failure import Failure, words

_FOREIGN = ("aotinductor", "custom_obj_", "opaque_obj_")
"""How parts of an archive's names begin that are libraries for this machine, or pickles of somebody's classes."""

Module: TypeAlias = Callable[..., object]

_LIBRARIES = {"mkl": r"Math Kernel Library Version ([\w.]+)", "onednn": r"MKL-DNN v([\w.]+)"}


def versions() -> dict[str, str]:
    """PyTorch and the libraries that it was built with, from its own description of the build."""
    built = torch.__config__.show()
    searched = {name: re.search(pattern, built) for name, pattern in _LIBRARIES.items()}
    found = {name: match[1] for name, match in searched.items() if match}
    on_gpus = {"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}
    return {"torch": torch.__version__, **found} | {name: str(version) for name, version in on_gpus.items() if version}


def devices() -> list[str]:
    """The CPU, and every CUDA device that the driver shows."""
    return ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]


def check(path: Path) -> None:
    """See `_archive.check`; and nothing in it is code for this machine or somebody's class.

    Raises:
        Failure: load, refused.
    """
    for name in _archive.check(path):
        if any(part.startswith(_FOREIGN) for part in name.split("/")):
            message = f"the archive holds {name[:80]!r}, which would execute code; export a model of tensors only"
            raise Failure("load", "refused", message)


def load(path: Path, device: str, threads: int, compiled: Callable[[Module], Module] | None = None) -> "ExportedModel":
    """The exported program as a module, its tensors on `device`.

    Args:
        path: of the artifact.
        device: in the words of a case.
        threads: at least 1.
        compiled: what makes another module of it; None for the module itself, which runs eagerly.

    Raises:
        Failure: load, refused: not an archive of torch.export.
    """
    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)
    try:
        with path.open("rb") as archive:
            program = torch.export.load(archive)
    except Exception as error:  # torch.export.load raises whatever its parts raise on a broken archive
        raise Failure("load", "refused", f"torch.export.load: {words(error)}") from error
    if device != "cpu":
        program = move_to_device_pass(program, device)
    return ExportedModel(program, torch.device(device), compiled)


class ExportedModel:
    """An exported program in inference mode."""

    def __init__(
        self,
        program: torch.export.ExportedProgram,
        device: torch.device,
        compiled: Callable[[Module], Module] | None,
    ) -> None:
        self._inference_mode = torch.inference_mode()
        self._inference_mode.__enter__()  # for as long as the model lives: entering it in every call would be timed
        module = program.module()
        self._module: Module = compiled(module) if compiled else module
        self._device = device
        self._tensors = [*program.state_dict.values(), *program.constants.values()]
        self.inputs = _specs(program)

    def bind(self, inputs: Arrays, compute_only: bool) -> Callable[[], object]:
        """The module on tensors that share the arrays' memory or, on CUDA, are copied before or in the call.

        CUDA is waited for: by synchronising the device or, end to end, by the outputs' copies to the host.
        """
        host = [torch.from_numpy(inputs[spec.name]) for spec in self.inputs]
        if self._device.type == "cpu":
            return partial(self._module, *host)
        if compute_only:
            return partial(self._compute, [tensor.to(self._device) for tensor in host])
        return partial(self._copy_and_compute, host)

    def _compute(self, tensors: list[torch.Tensor]) -> object:
        result = self._module(*tensors)
        torch.cuda.synchronize(self._device)
        return result

    def _copy_and_compute(self, host: list[torch.Tensor]) -> object:
        result = self._module(*(tensor.to(self._device) for tensor in host))
        return [tensor.cpu() for tensor in torch.utils._pytree.tree_leaves(result)]  # waits

    def fetch(self, result: object) -> dict[str, Array]:
        """Outputs in the program's order, flattened."""
        leaves: list[Any] = torch.utils._pytree.tree_leaves(result)
        return {f"output_{index}": leaf.cpu().numpy() for index, leaf in enumerate(leaves)}

    def placement(self) -> Placement:
        """Devices of the parameters, buffers and constants."""
        counts = Counter(str(tensor.device) for tensor in self._tensors if isinstance(tensor, torch.Tensor))
        return Placement(dict(counts), "tensors")

    def device_peak_bytes(self) -> int:
        """Of all tensors at once, as the caching allocator counts them."""
        return torch.cuda.max_memory_allocated(self._device) if self._device.type == "cuda" else 0

    def threads_in_force(self) -> dict[str, int]:
        """The process's pools."""
        return {"intra_op": torch.get_num_threads(), "inter_op": torch.get_num_interop_threads()}

    def close(self) -> None:
        """Leaves the inference mode."""
        self._inference_mode.__exit__(None, None, None)


def _specs(program: torch.export.ExportedProgram) -> list[TensorSpec]:
    """What the program's user inputs take; a symbolic size is free (its range is the module's own to check)."""
    values = {node.name: node.meta["val"] for node in program.graph.nodes if node.op == "placeholder"}
    return [
        TensorSpec(
            name,
            str(values[name].dtype).removeprefix("torch."),
            tuple(size if isinstance(size, int) else None for size in values[name].shape),
        )
        for name in program.graph_signature.user_inputs
    ]
