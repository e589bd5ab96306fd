"""A data set as one archive; runs in a process of its own (orchestrator.isolated)."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np

from orchestrator.artifacts import JSON
from orchestrator.datasets import DataSet, Inputs
from orchestrator.datasets.files import Files


def write(
    *, module: str, source_framework: str, inputs: Inputs, data: str, data_dir: str | None, cache: str, target: str
) -> dict[str, JSON]:
    """Writes the arrays `train_inputs`, `train_labels` and so on of a data set to the .npz archive `target`.

    Args:
        module: the data set's.
        source_framework: whose layout is wanted.
        inputs: what the network takes.
        data: the data set's name.
        data_dir: of the user, see `Files`.
        cache: folder for what has to be fetched.
        target: path.

    Returns:
        The data set's facts.

    Raises:
        CaseFailure: (train) it cannot be had, or its files are not what was published.
    """
    files = Files(data, Path(data_dir) if data_dir else None, Path(cache))
    loaded: DataSet = importlib.import_module(module).load(source_framework, inputs, files)
    parts = {"train": loaded.train, "validation": loaded.validation, "test": loaded.test}
    arrays: dict[str, Any] = {f"{name}_inputs": part.inputs for name, part in parts.items()}
    arrays |= {f"{name}_labels": part.labels for name, part in parts.items()}
    with Path(target).open("wb") as file:
        np.savez(file, **arrays)
    return loaded.facts
