"""PyTorch through torch.compile: an engine of its own, for the same `.pt2` archives.

It compiles at the first inference of each batch size, so that is what the phase `first` tells; loading is PyTorch's. It
writes what it compiles below TMPDIR, which is each trial's own, and loads it from there.
"""

import os
import shutil
from contextlib import suppress
from functools import partial
from importlib import metadata
from pathlib import Path

import torch
from torch._inductor import config

from runners.adapters import _torch
from runners.adapters._torch import check, devices
from runners.failure import Failure

__all__ = ["FORMATS", "MEASURES", "check", "devices", "load", "versions"]

FORMATS = ("pt2",)
MEASURES = True

# The whole graph: what cannot be compiled is an error, not left to PyTorch's eager interpreter.
_compiled = partial(torch.compile, fullgraph=True)


def versions() -> dict[str, str]:
    """PyTorch's, and that of the compiler for GPUs, where it is installed."""
    found = _torch.versions()
    with suppress(metadata.PackageNotFoundError):
        found["triton"] = metadata.version("triton")
    return found


def load(path: Path, device: str, threads: int) -> _torch.ExportedModel:
    """See `_torch.load`.

    Raises:
        Failure: load, unavailable: there is no compiler.
    """
    compiler = os.environ.get("CXX", "g++")  # also for GPUs: triton compiles how a kernel is launched
    if shutil.which(compiler) is None:
        raise Failure(
            "load", "unavailable", f"torch.compile needs a C++ compiler and there is no {compiler}: install g++"
        )
    config.compile_threads = 1  # in this process: its pool of others would live on beside what is timed
    return _torch.load(path, device, threads, _compiled)
