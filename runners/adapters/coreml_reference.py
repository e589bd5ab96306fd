"""Core ML's ML Programs without a Mac: evaluated operation by operation with torch on the CPU.

For answers only: accuracy, fidelity and robustness of a converted model. Its time and memory say nothing about Apple's
runtime, so it is never measured (`MEASURES`).

Precision: every value has the type that the program declares for it; a float16 program computes in float16 tensors, and
each result is rounded to float16. Within one operation sums are accumulated as torch does on the CPU (float16 products
in float32), where Apple's compute units may round earlier.

Batches: a package that takes only certain batch sizes gets any other number of samples in slices of these sizes, the
largest first, whose answers are joined.
"""

from collections.abc import Callable
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import cast

import numpy as np
import torch

from runners.adapters import Array, Arrays, Placement, TensorSpec, _archive
from runners.adapters._batches import joined
from runners.adapters._mil import package, program
from runners.adapters._mil.inputs import Input, cut, read_inputs
from runners.failure import words

# What reading a program raises in which a part is missing or is something else.
_DAMAGE = (AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)

FORMATS = ("coreml",)
MEASURES = False


def versions() -> dict[str, str]:
    """Distribution name -> version."""
    return {name: metadata.version(name) for name in ("coremltools", "torch")}


def devices() -> list[str]:
    """Devices on which this runtime executes."""
    return ["cpu"]


def check(path: Path) -> None:
    """See `_archive.check`."""
    _archive.check(path)


def load(path: Path, device: str, threads: int) -> "Model":
    """Loads a packed .mlpackage.

    Raises:
        Failure: (load, unsupported-operator) naming the operators; (load, refused) not a packed ML Program, or
            one whose files are damaged or missing.
    """
    del device  # there is one
    torch.set_num_threads(threads)
    with package.opened(path) as opened:
        try:
            return Model(program.load_program(opened), read_inputs(opened.specification))
        except _DAMAGE as error:
            raise package.refusal(f"the ML Program does not hold together ({words(error)})") from error


class Model:
    """A loaded program."""

    def __init__(self, loaded: program.Program, inputs: tuple[Input, ...]) -> None:
        self._program = loaded
        self._inputs = inputs

    @property
    def inputs(self) -> list[TensorSpec]:
        """The program's inputs; any number of samples where only some can be at once, for they are sliced."""
        return [given.specification for given in self._inputs]

    def bind(self, inputs: Arrays, compute_only: bool) -> Callable[[], object]:
        """One evaluation of these inputs, sliced where the package does not take so many samples at once.

        Raises:
            Failure: (infer, refused) a number of samples or another size outside of what the package takes.
        """
        del compute_only  # nothing is copied to a device
        pieces = [
            {given.name: _tensor(piece[given.name], given.dtype) for given in self._inputs}
            for piece in cut(self._inputs, inputs)
        ]
        return partial(self._evaluate, pieces)

    def fetch(self, result: object) -> dict[str, Array]:
        """Outputs by the program's names, in the types that it declares."""
        answers = cast("list[dict[str, torch.Tensor]]", result)
        return joined([{name: tensor.numpy() for name, tensor in answer.items()} for answer in answers])

    def placement(self) -> Placement:
        """Every operation runs here."""
        return Placement({"cpu": self._program.operations}, "operations")

    def device_peak_bytes(self) -> int:
        """There is no device but the CPU."""
        return 0

    def threads_in_force(self) -> dict[str, int]:
        """Threads as torch reports them."""
        return {"intra_op": torch.get_num_threads()}

    def close(self) -> None:
        """Nothing outlives the object."""

    def _evaluate(self, pieces: list[dict[str, torch.Tensor]]) -> list[dict[str, torch.Tensor]]:
        return [self._program.evaluate(piece) for piece in pieces]


def _tensor(array: Array, dtype: str) -> torch.Tensor:
    """As in Core ML, floating point is rounded to the declared precision."""
    return torch.from_numpy(np.array(array, dtype))  # a copy: what the archive or the wire gave may be read-only
