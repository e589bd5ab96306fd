"""What a campaign measures with: inputs, trained models, conversions and the source's answers, each made only once.

Nothing here is kept between calls; different artifacts can be prepared side by side.
"""

import importlib
import importlib.metadata
import importlib.util
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator import isolated
from orchestrator.artifacts import JSON, Artifact, Cache, key_of, sha256_of
from orchestrator.conversion import CONVERTERS, DISTRIBUTIONS
from orchestrator.datasets import DATASETS, DataSet
from orchestrator.errors import Stage
from orchestrator.runtimes import SOURCE_FORMATS
from orchestrator.zoo import MODELS, Training

_TRAINING_TIMEOUT_S = 24 * 3600.0
_CONVERSION_TIMEOUT_S = 900.0
_ANSWERS_TIMEOUT_S = 3600.0

_SOURCE_MODULES = {"keras": "orchestrator.zoo.keras_source", "pytorch": "orchestrator.zoo.pytorch_source"}
_SOURCE_DISTRIBUTIONS = {"keras": ("keras", "tensorflow"), "pytorch": ("torch",)}


@dataclass(frozen=True)
class Inputs:
    """The test set `name` as one model takes it: `path` is an .npz archive with the array `input`, samples first."""

    name: str
    path: Path
    sha256: str
    labels: NDArray[np.int64]
    details: dict[str, JSON]


def prepare_inputs(cache: Cache, source_framework: str, data: str) -> Inputs:
    """The test part of the data set `data` in the layout of `source_framework`."""
    samples = _samples(cache, source_framework, data)

    def make(target: Path) -> dict[str, JSON]:
        with np.load(samples.path) as archive, target.open("wb") as file:
            np.savez(file, input=archive["test_inputs"])
            shape: list[JSON] = list(archive["test_inputs"].shape)
        return {"shape": shape, **samples.details}

    inputs = _cached(cache, key_of("inputs", samples.sha256), "npz", "float32", make)
    with np.load(samples.path) as archive:
        labels = archive["test_labels"]
    return Inputs(data, inputs.path, inputs.sha256, labels, inputs.details)


def prepare_source(
    cache: Cache, model: str, source_framework: str, data: str, training: Training, seed: int
) -> Artifact:
    """The trained network in its source framework's own format.

    Raises:
        CaseFailure: (train or export) it could not be trained or stored.
    """
    samples = _samples(cache, source_framework, data)
    network = MODELS[model, source_framework]
    entry = DATASETS[data]
    recipe = network.recipe.for_small_data(entry.batch_divisor, entry.rate_divisor)
    recipe = replace(recipe, epochs=training.epochs or recipe.epochs)
    trainer = _SOURCE_MODULES[source_framework]
    hyper_parameters: dict[str, JSON] = {**asdict(recipe)}
    key = key_of(
        "source",
        [_sha256_of_module(name) for name in (network.module, trainer)],
        samples.sha256,
        hyper_parameters,
        training.time_budget_s,
        seed,
        _versions(_SOURCE_DISTRIBUTIONS[source_framework]),
    )

    def make(target: Path) -> dict[str, JSON]:
        facts = isolated.call(
            f"{trainer}:train",
            timeout_s=_TRAINING_TIMEOUT_S,
            stage=Stage.TRAIN,
            module=network.module,
            data=str(samples.path),
            target=str(target),
            recipe=hyper_parameters,
            time_budget_s=training.time_budget_s,
            seed=seed,
        )
        return {"data": data, "seed": seed, "recipe": hyper_parameters, **facts}

    return _cached(cache, key, SOURCE_FORMATS[source_framework], "float32", make)


def convert(cache: Cache, source: Artifact, source_framework: str, format: str, precision: str) -> Artifact:  # noqa: A002
    """`source` in another format; in its own it is the source itself.

    Raises:
        CaseFailure: (convert) the converter failed, crashed, hung or knows no such operator.
    """
    if format == source.format:
        return source
    converter = CONVERTERS[format]
    versions = _versions(DISTRIBUTIONS[source_framework, format])

    def make(target: Path) -> dict[str, JSON]:
        facts = isolated.call(
            f"{converter}:convert",
            timeout_s=_CONVERSION_TIMEOUT_S,
            stage=Stage.CONVERT,
            source_framework=source_framework,
            source=str(source.path),
            target=str(target),
            precision=precision,
        )
        return {"source_sha256": source.sha256, "converters": versions, **facts}

    key = key_of("conversion", _sha256_of_module(converter), source.sha256, source_framework, precision, versions)
    return _cached(cache, key, format, precision, make)


def source_answers(
    cache: Cache, source: Artifact, source_framework: str, inputs: Inputs
) -> dict[str, NDArray[np.float32]]:
    """What the source framework itself answers to all of `inputs`, by output name.

    Raises:
        CaseFailure: (infer) the model could not be asked.
    """
    module = _SOURCE_MODULES[source_framework]
    versions = _versions(_SOURCE_DISTRIBUTIONS[source_framework])

    def make(target: Path) -> dict[str, JSON]:
        archive = target.with_suffix(".npz")
        facts = isolated.call(
            f"{module}:answer",
            timeout_s=_ANSWERS_TIMEOUT_S,
            stage=Stage.INFER,
            source=str(source.path),
            inputs=str(inputs.path),
            target=str(archive),
        )
        archive.replace(target)
        return facts

    key = key_of("answers", _sha256_of_module(module), source.sha256, inputs.sha256, versions)
    answers = _cached(cache, key, "npz", source.precision, make)
    with np.load(answers.path) as archive:
        return dict(archive)


def _samples(cache: Cache, source_framework: str, data: str) -> Artifact:
    """All parts of a data set as one archive: `train_inputs`, `train_labels` and so on."""
    module = DATASETS[data].module
    preprocessing = key_of([_sha256_of_module(name) for name in (module, "orchestrator.datasets.images")])

    def make(target: Path) -> dict[str, JSON]:
        loaded: DataSet = importlib.import_module(module).load(source_framework)
        parts = {"train": loaded.train, "validation": loaded.validation, "test": loaded.test}
        arrays: dict[str, Any] = {f"{name}_inputs": part.inputs for name, part in parts.items()}
        arrays |= {f"{name}_labels": part.labels for name, part in parts.items()}
        with target.open("wb") as file:
            np.savez(file, **arrays)
        return {"preprocessing_sha256": preprocessing}

    key = key_of("samples", data, source_framework, preprocessing, _versions(("numpy", "scikit-learn")))
    return _cached(cache, key, "npz", "float32", make)


def _cached(
    cache: Cache,
    key: str,
    format: str,  # noqa: A002
    precision: str,
    make: Callable[[Path], dict[str, JSON]],
) -> Artifact:
    """The artifact of `key`; if there is none, `make` writes it to a path of its own and gives its details."""
    found = cache.find(key)
    if found:
        return found
    with tempfile.TemporaryDirectory(dir=cache.root) as folder:
        target = Path(folder) / "artifact"
        details = make(target)
        return cache.store(key, target, format=format, precision=precision, details=details)


def _sha256_of_module(name: str) -> str:
    """Of its file, found without importing it."""
    specification = importlib.util.find_spec(name)
    if specification is None or specification.origin is None:
        raise ModuleNotFoundError(name)
    return sha256_of(Path(specification.origin))


def _versions(distributions: tuple[str, ...]) -> dict[str, JSON]:
    """Installed versions by distribution; the build of TensorFlow without GPU support is a distribution of its own."""
    versions: dict[str, JSON] = {}
    for name in distributions:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = importlib.metadata.version(f"{name}-cpu")
    return versions
