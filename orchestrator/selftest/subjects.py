"""What the checks execute: known behaviours, and the quick suite's ONNX model."""

import json
from pathlib import Path

import numpy as np

from orchestrator import preparation
from orchestrator.artifacts import Cache
from orchestrator.selftest.place import Subject
from orchestrator.suite import ModelEntry, load_suite


def quick_model(cache: Cache) -> Subject:
    """The ONNX artifact of the quick suite's first network: from the cache, or made now.

    Raises:
        CaseFailure: it cannot be made.
    """
    suite = load_suite("quick")
    entry = next(entry for entry in suite.models if isinstance(entry, ModelEntry))
    framework = entry.source_frameworks[0]
    origin = preparation.Origin(entry.name, framework, entry.data)
    inputs = preparation.prepare_inputs(cache, origin)
    source = preparation.prepare_source(cache, origin, entry.training, suite.seed)
    artifact = preparation.convert(cache, source, framework, "onnx", "float32")
    return Subject(artifact.path, "onnx", inputs.path)


def known(folder: Path, allocate_bytes: int = 0, hold_ns: int = 0) -> Subject:
    """An artifact of the runtime `known`; its files are written to `folder`. See runners/adapters/known.py."""
    model = folder / f"{allocate_bytes}-{hold_ns}.json"
    model.write_text(json.dumps({"allocate_bytes": allocate_bytes, "hold_ns": hold_ns}))
    return Subject(model, "known", _any_inputs(folder))


def nothing(folder: Path) -> Subject:
    """An artifact of the runtime `null`, which never opens it."""
    model = folder / "nothing"
    model.touch()
    return Subject(model, "onnx", _any_inputs(folder))


def _any_inputs(folder: Path) -> Path:
    inputs = folder / "inputs.npz"
    np.savez(inputs, input=np.zeros((1, 1), np.float32))
    return inputs
