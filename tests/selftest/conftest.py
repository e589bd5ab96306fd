"""A tiny ONNX model in the place of the quick suite's, and runners as processes."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from orchestrator.launch.process import ProcessLauncher
from orchestrator.selftest.place import Place, Subject, place
from tests.runners import models


@pytest.fixture(scope="session")
def dense(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """See models.dense."""
    folder = tmp_path_factory.mktemp("dense")
    model, inputs = folder / "model", folder / "inputs.npz"
    model.write_bytes(models.dense("onnx", folder))
    np.savez(inputs, input=models.inputs(3))
    return Subject(model, "onnx", inputs)


@pytest.fixture(scope="session")
def known_runner() -> Iterator[Place]:
    with place(ProcessLauncher(), "known") as found:
        yield found


@pytest.fixture(scope="session")
def onnx_runner() -> Iterator[Place]:
    with place(ProcessLauncher(), "onnxruntime-cpu") as found:
        yield found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where artifacts are written."""
    return tmp_path
