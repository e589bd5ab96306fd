"""A runtime that does nothing: what a trial of it costs is the harness itself."""

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np

from runners.adapters import Array, Arrays, Placement, TensorSpec

FORMATS = ()  # any
MEASURES = True


def versions() -> dict[str, str]:
    """There is no library but Python, which every runner tells."""
    return {}


def devices() -> list[str]:
    """Where nothing is done."""
    return ["cpu"]


def check(path: Path) -> None:
    """Nothing leads out of a file that is never opened."""


def load(path: Path, device: str, threads: int) -> "NullModel":  # noqa: ARG001 - an adapter's signature
    """Never opens the file."""
    return NullModel()


class NullModel:
    """Answers with its first input."""

    inputs: tuple[TensorSpec, ...] = ()

    def bind(self, inputs: Arrays, compute_only: bool) -> Callable[[], object]:  # noqa: ARG002
        """The cheapest call that CPython has: a slot of a C type."""
        return itertools.repeat(next(iter(inputs.values()))).__next__

    def fetch(self, result: object) -> dict[str, Array]:
        """The input."""
        return {"output_0": np.asarray(result)}

    def placement(self) -> Placement:
        """Nothing is anywhere."""
        return Placement({"cpu": 0}, "nodes")

    def device_peak_bytes(self) -> int:
        """There is no device but the CPU."""
        return 0

    def threads_in_force(self) -> dict[str, int]:
        """The one that calls."""
        return {"intra_op": 1}

    def close(self) -> None:
        """Holds nothing."""
