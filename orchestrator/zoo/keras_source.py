"""Training, exporting and asking Keras models; runs in a process of its own (orchestrator.isolated)."""

import importlib
import json
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from orchestrator.artifacts import JSON, write_archive
from orchestrator.errors import Stage
from orchestrator.isolated import failing_at
from orchestrator.zoo import Recipe


def train(
    *, module: str, data: str, target: str, recipe: dict[str, Any], time_budget_s: float | None, seed: int
) -> dict[str, JSON]:
    """Trains the network that `module` builds on the archive `data`, writes it to `target` as .keras.

    Returns:
        How long it was trained, and the accuracy on samples that it never saw.
    """
    hyper = Recipe(**recipe)
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    samples = np.load(data)
    model = importlib.import_module(module).build()
    model.compile(
        optimizer=keras.optimizers.SGD(_schedule(hyper, len(samples["train_labels"])), hyper.momentum),
        loss="sparse_categorical_crossentropy",  # equals the study's cross-entropy over one-hot labels
        metrics=["accuracy"],
        jit_compile=False,  # compiled by XLA these small convolutions train several times slower on CPUs
    )
    begin_s = time.perf_counter()
    history = model.fit(
        samples["train_inputs"],
        samples["train_labels"],
        batch_size=hyper.batch_size,
        epochs=hyper.epochs,
        shuffle=hyper.shuffle,
        callbacks=[_TimeBudget(time_budget_s)],
        verbose=0,
    ).history
    trained_s = time.perf_counter() - begin_s
    accuracy = {part: _accuracy(model, samples, part) for part in ("validation", "test")}
    with failing_at(Stage.EXPORT):
        _export(model, Path(target))
    return {
        "parameters": model.count_params(),
        "trained_s": trained_s,
        "epochs": len(history["loss"]),
        "train_loss": history["loss"][-1],
        "validation_accuracy": accuracy["validation"],
        "test_accuracy": accuracy["test"],
    }


def answer(*, source: str, inputs: str, target: str) -> dict[str, JSON]:
    """Writes the answers of the .keras file `source` to every sample of `inputs` to the archive `target`."""
    model = load(source)
    np.savez(target, output_0=model.predict(np.load(inputs)["input"], verbose=0))
    return {}


def load(path: str) -> keras.Model:
    """The model of a .keras file of any name; never code from it."""
    with tempfile.TemporaryDirectory() as folder:
        named = Path(folder) / "model.keras"  # Keras goes by the ending
        named.symlink_to(Path(path).resolve())
        return keras.saving.load_model(named, compile=False, safe_mode=True)


class _TimeBudget(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    def __init__(self, budget_s: float | None) -> None:
        super().__init__()
        self._end_s = None if budget_s is None else time.perf_counter() + budget_s

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:  # noqa: ARG002 - Keras's signature
        if self._end_s is not None and time.perf_counter() > self._end_s:
            self.model.stop_training = True


def _schedule(hyper: Recipe, samples: int) -> Any:
    if hyper.decay_epochs is None:
        return hyper.learning_rate
    steps = hyper.decay_epochs * -(-samples // hyper.batch_size)
    return keras.optimizers.schedules.ExponentialDecay(hyper.learning_rate, steps, 0.1, staircase=True)


def _accuracy(model: keras.Model, samples: Any, part: str) -> float:
    answers = model.predict(samples[f"{part}_inputs"], verbose=0)
    return float((answers.argmax(axis=1) == samples[f"{part}_labels"]).mean())


def _export(model: keras.Model, target: Path) -> None:
    """Without optimizer state, which a copy that was never compiled does not have, and without dates."""
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "model.keras"
        copy.save(saved)
        with zipfile.ZipFile(saved) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
    metadata = json.loads(files["metadata.json"])
    del metadata["date_saved"]
    files["metadata.json"] = json.dumps(metadata).encode()
    write_archive(target, files)
