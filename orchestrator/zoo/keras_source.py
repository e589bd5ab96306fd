"""Training, exporting and asking Keras models; runs in a process of its own (orchestrator.isolated)."""

import json
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from orchestrator.artifacts import JSON, write_archive
from orchestrator.errors import Stage
from orchestrator.isolated import failing_at, tell
from orchestrator.zoo import Recipe
from orchestrator.zoo.training import Budget, Samples, build


def train(
    *,
    module: str,
    arguments: dict[str, JSON],
    data: str,
    target: str,
    recipe: dict[str, Any],
    time_budget_s: float | None,
    seed: int,
) -> dict[str, JSON]:
    """Trains the network that `module` builds with `arguments` on the archive `data`, writes it to `target` as .keras.

    Returns:
        How long it was trained and how far it came.
    """
    hyper = Recipe(**recipe)
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    samples = Samples(data)
    model = build(module, arguments)
    steps_per_epoch = -(-len(samples.labels("train")) // hyper.batch_size)
    model.compile(
        optimizer=_optimizer(hyper, steps_per_epoch),
        # Equals the study's cross-entropy over one-hot labels.
        loss="binary_crossentropy" if model.output_shape[-1] == 1 else "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=False,  # compiled by XLA these small convolutions train several times slower on CPUs
    )
    watch = _Watch(Budget(time_budget_s))
    history = model.fit(
        samples.inputs("train"),
        samples.labels("train"),
        batch_size=hyper.batch_size,
        epochs=hyper.epochs,
        shuffle=hyper.shuffle,
        validation_data=(samples.inputs("validation"), samples.labels("validation")) if hyper.keep_best else None,
        callbacks=[watch, *_keeping_best(hyper)],
        verbose=0,
    ).history
    trained_s, steps = watch.budget.spent_s, int(model.optimizer.iterations.numpy())
    with failing_at(Stage.EXPORT):
        bytes_with_optimizer = _export(model, Path(target))
    return {
        "parameters": model.count_params(),
        "pretrained": False,
        "trained_s": trained_s,
        "steps": steps,
        "epochs": steps / steps_per_epoch,
        "ended_by": "time_budget" if watch.stopped else "epochs",
        "train_loss": history["loss"][-1],
        "validation_accuracy": max(history["val_accuracy"]) if hyper.keep_best else None,
        "bytes_with_optimizer": bytes_with_optimizer,
    }


def answer(*, source: str, inputs: str, target: str) -> dict[str, JSON]:
    """Writes the answers of the .keras file `source` to every sample of `inputs` to the archive `target`."""
    model = load(source)
    with np.load(inputs) as archive:
        given = [archive[name] for name in archive.files]
    answers = tf.nest.flatten(model.predict(given[0] if len(given) == 1 else given, verbose=0))
    np.savez(target, **{f"output_{index}": answer for index, answer in enumerate(answers)})
    return {}


def load(path: str) -> keras.Model:
    """The model of a .keras file of any name; never code from it."""
    with tempfile.TemporaryDirectory() as folder:
        named = Path(folder) / "model.keras"  # Keras goes by the ending
        named.symlink_to(Path(path).resolve())
        return keras.saving.load_model(named, compile=False, safe_mode=True)


def call(model: keras.Model) -> Callable[..., Any]:
    """The model in inference as a function of its inputs, in their order."""
    return lambda *inputs: model(inputs[0] if len(inputs) == 1 else list(inputs), training=False)


@contextmanager
def inlining() -> Iterator[None]:
    """Around the tracing of a model for a converter: functions in it become a part of its graph, not calls.

    Keras compiles grouped convolutions for XLA, and no converter follows such a call.
    """
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)


def store(model: keras.Model, target: Path) -> None:
    """Writes a .keras file without dates: equal models give equal bytes."""
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "model.keras"
        model.save(saved)
        with zipfile.ZipFile(saved) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
    metadata = json.loads(files["metadata.json"])
    del metadata["date_saved"]
    files["metadata.json"] = json.dumps(metadata).encode()
    write_archive(target, files)


class _Watch(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Ends training when its time is up, and tells how it goes."""

    def __init__(self, budget: Budget) -> None:
        super().__init__()
        self.budget = budget
        self.stopped = False

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:  # noqa: ARG002 - Keras's signature
        if self.budget.is_over:
            self.stopped = self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        told = ", ".join(f"{name} {value:.3f}" for name, value in (logs or {}).items())
        tell(f"epoch {epoch + 1}: {told}")


def _keeping_best(hyper: Recipe) -> list[keras.callbacks.Callback]:
    if not hyper.keep_best:
        return []
    never = hyper.epochs + 1
    return [
        keras.callbacks.EarlyStopping(monitor="val_accuracy", mode="max", patience=never, restore_best_weights=True)
    ]


def _optimizer(hyper: Recipe, steps_per_epoch: int) -> keras.optimizers.Optimizer:
    rate: Any = hyper.learning_rate
    if hyper.decay_epochs is not None:
        steps = hyper.decay_epochs * steps_per_epoch
        rate = keras.optimizers.schedules.ExponentialDecay(rate, steps, 0.1, staircase=True)
    if hyper.optimizer == "adam":
        return keras.optimizers.Adam(rate, global_clipnorm=hyper.clip_norm)
    return keras.optimizers.SGD(rate, hyper.momentum, global_clipnorm=hyper.clip_norm)


def _export(model: keras.Model, target: Path) -> int:
    """Without optimizer state, which a copy that was never compiled does not have.

    Returns:
        The size that it has with the optimizer's state.
    """
    copy = type(model).from_config(model.get_config())  # clone_model would compile it, too
    copy.set_weights(model.get_weights())
    store(copy, target)
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "whole.keras"
        model.save(whole)
        return whole.stat().st_size
