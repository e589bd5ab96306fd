"""A runtime whose time and memory are known beforehand: what the harness says of it shows what the harness is worth.

An artifact is a JSON document, for example {"allocate_bytes": 33554432, "hold_ns": 0}: within each inference that much
memory is allocated, touched, held for that long and given back to the kernel. Without memory it is a sleep. With
"daemons": 1 each inference leaves so many processes behind, in sessions of their own; with "leak_bytes" it keeps so
much memory, untouched, for ever.
"""

import json
import mmap
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from runners.adapters import Array, Arrays, Placement, TensorSpec
from runners.failure import Failure, words

FORMATS = ("known",)
MEASURES = True

_NEEDED = {"allocate_bytes", "hold_ns"}
_OPTIONAL = {"daemons", "leak_bytes"}


def versions() -> dict[str, str]:
    """There is no library but Python, which every runner tells."""
    return {}


def devices() -> list[str]:
    """Where a sleeper sleeps."""
    return ["cpu"]


def check(path: Path) -> None:
    """A document of numbers leads nowhere."""


def load(path: Path, device: str, threads: int) -> "KnownModel":  # noqa: ARG001 - an adapter's signature
    """What the document says.

    Raises:
        Failure: load, refused: it is no such document.
    """
    try:
        document = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise _refused(words(error)) from error
    is_known = isinstance(document, dict) and set(document) - _OPTIONAL == _NEEDED
    if not is_known or not all(type(value) is int and value >= 0 for value in document.values()):
        raise _refused(f"found {json.dumps(document)[:80]}")
    return KnownModel(**document)


def _refused(found: str) -> Failure:
    wanted = '{"allocate_bytes": N, "hold_ns": N} with integers from 0'
    return Failure("load", "refused", f"a known behaviour is a JSON document {wanted}; {found}")


class KnownModel:
    """Answers nothing of interest, in a known way."""

    inputs: tuple[TensorSpec, ...] = ()

    def __init__(self, allocate_bytes: int, hold_ns: int, daemons: int = 0, leak_bytes: int = 0) -> None:
        self._daemons = daemons
        self._leak_bytes = leak_bytes
        self._leaked: list[mmap.mmap] = []
        self._allocate_bytes = allocate_bytes
        self._hold_s = hold_ns / 1e9

    def bind(self, inputs: Arrays, compute_only: bool) -> Callable[[], object]:  # noqa: ARG002
        """The sleep itself where there is nothing to allocate."""
        if self._daemons:
            return partial(_leave_behind, self._daemons)
        if self._leak_bytes:
            return self._leak
        if self._allocate_bytes == 0:
            return partial(time.sleep, self._hold_s)
        return partial(_allocate, self._allocate_bytes, self._hold_s)

    def _leak(self) -> None:
        self._leaked.append(mmap.mmap(-1, self._leak_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))

    def fetch(self, result: object) -> dict[str, Array]:  # noqa: ARG002
        """A single 0."""
        return {"output_0": np.zeros(1, np.float32)}

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
        """Holds nothing between inferences."""


def _leave_behind(processes: int) -> None:
    for _ in range(processes):
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)


def _allocate(size_bytes: int, hold_s: float) -> None:
    """Straight from the kernel and back to it: an allocator might keep some.

    Huge pages where the kernel has them, for page by page a virtual machine takes many milliseconds for 32 MiB.
    """
    with mmap.mmap(-1, size_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        if hasattr(mmap, "MADV_HUGEPAGE"):
            memory.madvise(mmap.MADV_HUGEPAGE)
        memory[:: mmap.PAGESIZE] = bytes(-(-size_bytes // mmap.PAGESIZE))
        if hold_s:
            time.sleep(hold_s)
