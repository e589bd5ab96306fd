"""What training has in common in both source frameworks."""

import importlib
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator import fidelity
from orchestrator.artifacts import JSON
from orchestrator.datasets import scaled


class Samples:
    """A data set's archive, as `datasets.archive` writes it: part ("train", "validation", "test") -> inputs, labels."""

    def __init__(self, path: str) -> None:
        with np.load(path) as archive:
            self._arrays: dict[str, NDArray[Any]] = {name: scaled(archive[name]) for name in archive.files}

    def inputs(self, part: str) -> NDArray[Any]:
        """As a network is fed with them."""
        return self._arrays[f"{part}_inputs"]

    def labels(self, part: str) -> NDArray[np.int64]:
        """Classes."""
        return self._arrays[f"{part}_labels"]


def build(module: str, arguments: dict[str, JSON]) -> Any:
    """The network of a module of the zoo, with weights drawn by chance."""
    return importlib.import_module(module).build(**arguments)


class Budget:
    """Time for training, None without end."""

    def __init__(self, budget_s: float | None) -> None:
        self._begin_s = time.perf_counter()
        self._budget_s = budget_s

    @property
    def spent_s(self) -> float:
        """Since it was made."""
        return time.perf_counter() - self._begin_s

    @property
    def is_over(self) -> bool:
        """Whether to stop."""
        return self._budget_s is not None and self.spent_s > self._budget_s


def accuracy(answers: NDArray[Any], labels: NDArray[np.int64]) -> float:
    """Share of right classes."""
    return float((fidelity.classes(answers) == labels).mean())
