"""The dense model as an exported program of PyTorch."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.runners.formats._archive import leading_out

__all__ = ["convolution", "dense", "leading_out"]


def dense(folder: Path, batch: int | None, bias: NDArray[np.float32], weights: NDArray[np.float32]) -> bytes:
    """See models.dense."""
    import torch

    module = torch.nn.Sequential(torch.nn.Linear(*weights.shape), torch.nn.ReLU()).eval()
    module.load_state_dict({"0.weight": torch.from_numpy(weights.T.copy()), "0.bias": torch.from_numpy(bias)})
    return _exported(module, torch.zeros(batch or 2, len(weights)), batch is None)


def convolution(folder: Path, weights: NDArray[np.float32]) -> bytes:
    """See models.convolution."""
    import torch

    channels_out, channels, *kernel = weights.shape
    module = torch.nn.Conv2d(channels, channels_out, kernel, padding=1, bias=False).eval()
    module.load_state_dict({"weight": torch.from_numpy(weights)})
    return _exported(module, torch.zeros(2, channels, 32, 32), True)


def _exported(module: Any, example: Any, any_batch: bool) -> bytes:
    import torch

    free = ({0: torch.export.Dim.DYNAMIC},) if any_batch else None
    program = torch.export.export(module, (example,), dynamic_shapes=free)
    file = io.BytesIO()
    torch.export.save(program, file)
    return file.getvalue()
