"""A trained model as the tests take it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.artifacts import Artifact
from orchestrator.conversion import CONVERSIONS
from orchestrator.preparation import Inputs
from orchestrator.zoo import Training

TRAINING = Training(epochs=25)
SEED = 7


def targets(framework: str) -> list[str]:
    """Formats that are made from a source framework."""
    return [name for name, conversion in CONVERSIONS.items() if framework in conversion.distributions]


@dataclass(frozen=True)
class Source:
    """The model with the inputs that it takes and what it answers to them."""

    framework: str
    inputs: Inputs
    artifact: Artifact
    answers: NDArray[np.float32]
