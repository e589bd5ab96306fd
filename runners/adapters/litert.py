"""LiteRT's interpreter with its default delegate, XNNPACK: `.tflite` of built-in operators; a fixed batch in slices."""

from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from ai_edge_litert.interpreter import Interpreter  # type: ignore[import-untyped]

from runners.adapters import Array, Arrays, Placement, TensorSpec
from runners.adapters._batches import cut, joined, with_any_batch
from runners.adapters._tflite import check as check
from runners.failure import Failure, words

FORMATS = ("tflite",)
MEASURES = True


def versions() -> dict[str, str]:
    """LiteRT's; XNNPACK is a part of it and has no version."""
    return {"ai-edge-litert": metadata.version("ai-edge-litert")}


def devices() -> list[str]:
    """The CPU."""
    return ["cpu"]


def load(path: Path, device: str, threads: int) -> "LiteRtModel":  # noqa: ARG001 - an adapter's signature
    """The artifact with its tensors allocated for the sizes that it was written with.

    Raises:
        Failure: load; refused or unsupported-operator.
    """
    others = psutil.Process().num_threads() - 1
    try:
        interpreter = Interpreter(str(path), num_threads=threads)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        unsupported = any(part in str(error) for part in ("custom op", "builtin opcode", "TensorFlow op"))
        raise Failure("load", "unsupported-operator" if unsupported else "refused", words(error)) from error
    return LiteRtModel(interpreter, psutil.Process().num_threads() - others)


class LiteRtModel:
    """An interpreter; inputs and outputs have the names of the artifact's signature or, without one, of its tensors."""

    def __init__(self, interpreter: Any, threads: int) -> None:
        self._interpreter, self._threads = interpreter, threads
        source = interpreter.get_signature_runner() if len(interpreter.get_signature_list()) == 1 else interpreter
        self._given, self._answers = _by_name(source.get_input_details()), _by_name(source.get_output_details())
        self._specs = [_spec(name, detail) for name, detail in self._given.items()]
        self.inputs = with_any_batch(self._specs)

    def bind(self, inputs: Arrays, compute_only: bool) -> Callable[[], object]:  # noqa: ARG002
        """Inputs are copied into the interpreter's memory, and outputs out of it, in every call."""
        indices = {name: detail["index"] for name, detail in self._given.items()}
        pieces = [{indices[name]: array for name, array in piece.items()} for piece in cut(self._specs, inputs)]
        for index, array in pieces[0].items():
            self._interpreter.resize_tensor_input(index, array.shape, strict=True)
        self._interpreter.allocate_tensors()
        return lambda: [self._infer(piece) for piece in pieces]

    def _infer(self, piece: dict[int, Array]) -> dict[str, Array]:
        for index, array in piece.items():
            self._interpreter.set_tensor(index, array)
        self._interpreter.invoke()
        return {name: self._interpreter.get_tensor(detail["index"]) for name, detail in self._answers.items()}

    def fetch(self, result: Any) -> dict[str, Array]:
        """Outputs by name."""
        return joined(result)

    def placement(self) -> Placement:
        """Its tensors; an interpreter that was given no accelerator has nothing elsewhere."""
        return Placement({"cpu": len(self._interpreter.get_tensor_details())}, "tensors")

    def device_peak_bytes(self) -> int:
        """There is no device but the CPU."""
        return 0

    def threads_in_force(self) -> dict[str, int]:
        """The one that calls, and those that loading has started; LiteRT does not tell."""
        return {"intra_op": self._threads}

    def close(self) -> None:
        """Frees the interpreter."""
        del self._interpreter


def _by_name(details: Any) -> dict[str, Any]:
    return details if isinstance(details, dict) else {detail["name"]: detail for detail in details}


def _spec(name: str, detail: Any) -> TensorSpec:
    shape = tuple(int(size) if size >= 0 else None for size in detail["shape_signature"])
    return TensorSpec(name, np.dtype(detail["dtype"]).name, shape)
