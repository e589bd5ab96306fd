"""Long work in pieces that survive the process that does them."""

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.isolated import tell

Arrays = dict[str, NDArray[Any]]

_DURATION = "duration_ns"


def in_chunks(folder: Path, count: int, size: int, work: Callable[[slice], Arrays]) -> tuple[Arrays, int]:
    """What `work` makes of `count` inputs, `size` at a time, joined along the first axes; and its time in ns.

    Each finished piece is a file in `folder`; what an earlier process finished there is not done again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for start in range(0, count, size):
        file = folder / f"{start:06}.npz"
        if not file.exists():
            begin_ns = time.perf_counter_ns()
            made = work(slice(start, min(start + size, count)))
            _write(file, made | {_DURATION: np.array([time.perf_counter_ns() - begin_ns])})
        with np.load(file, allow_pickle=False) as archive:
            parts.append(dict(archive))
        tell(f"{min(start + size, count)} of {count}")
    durations_ns = [int(part.pop(_DURATION)[0]) for part in parts]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}, sum(durations_ns)


def _write(file: Path, arrays: Arrays) -> None:
    """A file of its final name is complete."""
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        whole = Path(folder) / "chunk.npz"
        np.savez(whole, allow_pickle=False, **arrays)
        whole.replace(file)


def forget(folder: Path) -> None:
    """Removes the pieces, once what they were joined to is kept elsewhere."""
    shutil.rmtree(folder, ignore_errors=True)
