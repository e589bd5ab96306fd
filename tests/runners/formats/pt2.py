"""The dense model as an exported program of PyTorch."""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.runners.formats._archive import leading_out

__all__ = ["dense", "leading_out"]


def dense(folder: Path, batch: int | None, bias: NDArray[np.float32], weights: NDArray[np.float32]) -> bytes:
    """See models.dense."""
    import torch

    module = torch.nn.Sequential(torch.nn.Linear(*weights.shape), torch.nn.ReLU()).eval()
    module.load_state_dict({"0.weight": torch.from_numpy(weights.T.copy()), "0.bias": torch.from_numpy(bias)})
    free = None if batch else ({0: torch.export.Dim.DYNAMIC},)
    program = torch.export.export(module, (torch.zeros(batch or 2, len(weights)),), dynamic_shapes=free)
    file = io.BytesIO()
    torch.export.save(program, file)
    return file.getvalue()
