"""The two LeNets, trained once for all tests, whichever process of the tests asks first."""

import os
from dataclasses import dataclass

import numpy as np
import pytest
from filelock import FileLock
from numpy.typing import NDArray

from orchestrator import preparation
from orchestrator.artifacts import Artifact, Cache
from orchestrator.conversion import CONVERSIONS
from orchestrator.preparation import Inputs, Origin
from orchestrator.zoo import Training

TRAINING = Training(epochs=25)
SEED = 7


def targets(framework: str) -> list[str]:
    """Formats that are made from a source framework."""
    return [name for name, conversion in CONVERSIONS.items() if framework in conversion.distributions]


@dataclass(frozen=True)
class Source:
    """A model with the inputs that it takes and what it answers to them."""

    framework: str
    origin: Origin
    inputs: Inputs
    artifact: Artifact
    answers: NDArray[np.float32]


def shared_cache(factory: pytest.TempPathFactory) -> Cache:
    """One for all processes of the tests: pytest-xdist gives each a folder in a common one."""
    own = factory.getbasetemp()
    return Cache((own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "cache")


def trained(cache: Cache, framework: str) -> Source:
    """The LeNet of a source framework on the digits; who comes second waits for who came first."""
    origin = Origin("lenet5", framework, "digits")
    with FileLock(cache.root / f"{framework}.lock"):
        inputs = preparation.prepare_inputs(cache, origin)
        artifact = preparation.prepare_source(cache, origin, TRAINING, SEED)
        answers = preparation.source_answers(cache, artifact, framework, inputs)
    return Source(framework, origin, inputs, artifact, answers["output_0"])
