"""Asks SavedModels, which no runtime here executes; runs in a process of its own (orchestrator.isolated)."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from orchestrator.artifacts import JSON
from orchestrator.inspection import savedmodel


def answer(*, source: str, inputs: str, target: str) -> dict[str, JSON]:
    """Writes what the packed SavedModel `source` serves for all of `inputs` to the archive `target`."""
    with savedmodel.unpacked(Path(source)) as folder, np.load(inputs) as given:
        model = tf.saved_model.load(folder)
        served = model.signatures[savedmodel.SERVED](**{name: tf.constant(given[name]) for name in given.files})
        answers = [tensor.numpy() for tensor in tf.nest.flatten(served)]
    np.savez(target, **{f"output_{index}": answer for index, answer in enumerate(answers)})
    return {}
