"""What a campaign measures with: inputs, trained models, conversions and the source's answers, each made only once.

Nothing here is kept between calls; different artifacts can be prepared side by side.
"""

import importlib.metadata
import importlib.util
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from orchestrator import isolated
from orchestrator.artifacts import JSON, Artifact, Cache, key_of, sha256_of
from orchestrator.conversion import CONVERSIONS
from orchestrator.conversion.reduction import CALIBRATION_SAMPLES
from orchestrator.datasets import DATASETS, scaled
from orchestrator.errors import CaseFailure, Stage, Symptom
from orchestrator.runtimes import SOURCE_FORMATS
from orchestrator.workplace import BUILD_HOST, Files, Workplace
from orchestrator.zoo import MODELS, Network, Training

_DATA_TIMEOUT_S = 3600.0
_TRAINING_TIMEOUT_S = 24 * 3600.0
_CONVERSION_TIMEOUT_S = 900.0
_ANSWERS_TIMEOUT_S = 3600.0

_SOURCE_MODULES = {
    "keras": "orchestrator.zoo.keras_source",
    "pytorch": "orchestrator.zoo.pytorch_source",
    "tensorflow": "orchestrator.own.savedmodel_source",
}
_SOURCE_DISTRIBUTIONS = {"keras": ("keras", "tensorflow"), "pytorch": ("torch",), "tensorflow": ("tensorflow",)}
_SHARED_BY_DATASETS = tuple(f"orchestrator.datasets.{name}" for name in ("images", "idx", "tokens"))
_SHARED_BY_NETWORKS = tuple(f"orchestrator.zoo.{name}" for name in ("training", "recurrent_keras", "recurrent_pytorch"))
_BUILT_FOR = ("vocabulary", "length")
"""Facts of a data set that its networks are built for."""


@dataclass(frozen=True)
class Origin:
    """What a source model is made from: a network of the zoo in a source framework, and a data set.

    `data_dir` is a folder of the user's in which the data set's files may be.
    """

    model: str
    source_framework: str
    data: str
    data_dir: Path | None = None

    @property
    def network(self) -> Network:
        """Its row of the zoo."""
        return MODELS[self.model, self.source_framework]


@dataclass(frozen=True)
class Inputs:
    """The test set `name` as one model takes it: `path` is an .npz archive with the array `input`, samples first."""

    name: str
    path: Path
    sha256: str
    labels: NDArray[np.int64]
    details: dict[str, JSON]


class Stored(Protocol):
    """A file that its SHA-256 names: an artifact, or inputs, an .npz archive of arrays by a model's names."""

    @property
    def path(self) -> Path:
        """Where it is."""

    @property
    def sha256(self) -> str:
        """Of the file."""


class Calibration(Stored, Protocol):
    """Inputs that a conversion may look at."""

    @property
    def name(self) -> str:
        """Where they are from."""


def prepare_inputs(cache: Cache, origin: Origin, test_samples: int | None = None) -> Inputs:
    """The test part of the data set as the network takes it, or the first `test_samples` of it.

    Raises:
        CaseFailure: (train) the data set cannot be had.
    """
    samples = prepare_samples(cache, origin)

    def make(target: Path) -> dict[str, JSON]:
        with np.load(samples.path) as archive, target.open("wb") as file:
            inputs = scaled(archive["test_inputs"][:test_samples])
            np.savez(file, input=inputs)
        return {"shape": list(inputs.shape), **samples.details}

    key = key_of("inputs", samples.sha256, test_samples)
    inputs = cache.once(key, "npz", "float32", make)
    with np.load(samples.path) as archive:
        labels = archive["test_labels"][:test_samples]
    return Inputs(origin.data, inputs.path, inputs.sha256, labels, inputs.details)


def prepare_calibration(cache: Cache, origin: Origin) -> Inputs:
    """Some of the inputs that it was trained on: what it is tested on must not shape a conversion.

    Raises:
        CaseFailure: as `prepare_inputs`.
    """
    samples = prepare_samples(cache, origin)

    def make(target: Path) -> dict[str, JSON]:
        with np.load(samples.path) as archive, target.open("wb") as file:
            np.savez(file, input=scaled(archive["train_inputs"][:CALIBRATION_SAMPLES]))
        return {}

    made = cache.once(key_of("calibration", samples.sha256, CALIBRATION_SAMPLES), "npz", "float32", make)
    return Inputs(f"{origin.data}, what was trained on", made.path, made.sha256, np.zeros(0, np.int64), made.details)


def prepare_source(
    cache: Cache,
    origin: Origin,
    training: Training,
    seed: int,
    on_told: Callable[[str], None] = lambda _told: None,
    place: Workplace = BUILD_HOST,
) -> Artifact:
    """The trained network in its source framework's own format; `on_told` hears how training at `place` goes.

    Raises:
        CaseFailure: (train or export) it could not be trained or stored.
    """
    samples = prepare_samples(cache, origin)
    network, entry = origin.network, DATASETS[origin.data]
    recipe = network.recipe.for_small_data(entry.batch_divisor, entry.rate_divisor).changed(training)
    trainer = _SOURCE_MODULES[origin.source_framework]
    hyper_parameters: dict[str, JSON] = {**asdict(recipe)}
    modules = (network.module, trainer, *_SHARED_BY_NETWORKS)
    key = key_of(
        "source",
        [sha256_of_module(name) for name in modules],
        samples.sha256,
        hyper_parameters,
        training.time_budget_s,
        seed,
        versions_of(_SOURCE_DISTRIBUTIONS[origin.source_framework]),
    )

    def make(target: Path) -> dict[str, JSON]:
        facts = place.call(
            f"{trainer}:train",
            files=Files({"data": samples.path}, {"target": target}),
            timeout_s=_TRAINING_TIMEOUT_S,
            stage=Stage.TRAIN,
            on_told=on_told,
            module=network.module,
            arguments={name: samples.details[name] for name in _BUILT_FOR if name in samples.details},
            recipe=hyper_parameters,
            time_budget_s=training.time_budget_s,
            seed=seed,
        )
        return {"data": origin.data, "seed": seed, "recipe": hyper_parameters, **facts}

    return cache.once(key, SOURCE_FORMATS[origin.source_framework], "float32", make)


def convert(
    cache: Cache,
    source: Artifact,
    source_framework: str,
    format: str,  # noqa: A002 - the design's word
    precision: str,
    place: Workplace = BUILD_HOST,
    calibration: "Calibration | None" = None,
) -> Artifact:
    """`source` in another format or precision, converted at `place`; in its own it is the source itself.

    `calibration` are inputs for the precisions that need some, see `CONVERSIONS`.

    Raises:
        CaseFailure: (convert) nothing converts from that source framework, or the converter failed, crashed, hung or
            knows no such operator.
    """
    if (format, precision) == (source.format, source.precision):
        return source
    if format == source.format and source.precision != "float32":
        message = f"it is in {source.precision} already; bring the model in float32"
        raise CaseFailure(Stage.CONVERT, Symptom.REFUSED, message)
    converter = f"orchestrator.conversion.{format}"
    distributions = CONVERSIONS[format].distributions
    if source_framework not in distributions:
        made = f"{format} is made from {', '.join(distributions)} only, not from {source_framework}"
        raise CaseFailure(Stage.CONVERT, Symptom.UNAVAILABLE, f"{made}; choose another format for this model")
    versions = versions_of(distributions[source_framework])
    calibrated_by = calibration if precision in CONVERSIONS[format].calibrated else None
    given = {"calibration": calibrated_by.path} if calibrated_by else {}

    def make(target: Path) -> dict[str, JSON]:
        facts = place.call(
            f"{converter}:convert",
            files=Files({"source": source.path, **given}, {"target": target}),
            timeout_s=_CONVERSION_TIMEOUT_S,
            stage=Stage.CONVERT,
            source_framework=source_framework,
            precision=precision,
        )
        calibrated_on = {"calibrated_on": calibrated_by.name} if calibrated_by else {}
        return {"source_sha256": source.sha256, "converters": versions, **calibrated_on, **facts}

    read_by, reduced_by = f"orchestrator.inspection.{format}", "orchestrator.conversion.reduction"
    modules: list[JSON] = [sha256_of_module(name) for name in (converter, read_by, reduced_by)]
    calibrated = calibrated_by.sha256 if calibrated_by else None
    key = key_of("conversion", modules, source.sha256, source_framework, precision, versions, calibrated)
    return cache.once(key, format, precision, make)


def source_answers(
    cache: Cache,
    source: Artifact,
    source_framework: str,
    inputs: Stored,
    place: Workplace = BUILD_HOST,
) -> dict[str, NDArray[np.float32]]:
    """What the source framework itself, asked at `place`, answers to all of `inputs`, by output name.

    Raises:
        CaseFailure: (infer) the model could not be asked.
    """
    module = _SOURCE_MODULES[source_framework]
    versions = versions_of(_SOURCE_DISTRIBUTIONS[source_framework])

    def make(target: Path) -> dict[str, JSON]:
        archive = target.with_suffix(".npz")
        facts = place.call(
            f"{module}:answer",
            files=Files({"source": source.path, "inputs": inputs.path}, {"target": archive}),
            timeout_s=_ANSWERS_TIMEOUT_S,
            stage=Stage.INFER,
        )
        archive.replace(target)
        return facts

    key = key_of("answers", sha256_of_module(module), source.sha256, inputs.sha256, versions)
    answers = cache.once(key, "npz", source.precision, make)
    with np.load(answers.path) as archive:
        return dict(archive)


def prepare_samples(cache: Cache, origin: Origin) -> Artifact:
    """All parts of a data set as one archive: `train_inputs`, `train_labels` and so on; always fetched and made here.

    Raises:
        CaseFailure: (train) the data set cannot be had.
    """
    data, module, takes = origin.data, DATASETS[origin.data].module, origin.network.inputs
    preprocessing = key_of([sha256_of_module(name) for name in (module, *_SHARED_BY_DATASETS)])

    def make(target: Path) -> dict[str, JSON]:
        facts = isolated.call(
            "orchestrator.datasets.archive:write",
            timeout_s=_DATA_TIMEOUT_S,
            stage=Stage.TRAIN,
            module=module,
            source_framework=origin.source_framework,
            inputs=takes,
            data=data,
            data_dir=str(origin.data_dir) if origin.data_dir else None,
            cache=str(cache.root / "data"),
            target=str(target),
        )
        return {name: facts[name] for name in _BUILT_FOR if name in facts} | {"preprocessing_sha256": preprocessing}

    key = key_of("samples", data, origin.source_framework, takes, preprocessing, versions_of(("numpy", "scikit-learn")))
    return cache.once(key, "npz", "float32", make)


def sha256_of_module(name: str) -> str:
    """Of its file, found without importing it."""
    specification = importlib.util.find_spec(name)
    if specification is None or specification.origin is None:
        raise ModuleNotFoundError(name)
    return sha256_of(Path(specification.origin))


def versions_of(distributions: tuple[str, ...]) -> dict[str, JSON]:
    """Installed versions by distribution; the build of TensorFlow without GPU support is a distribution of its own."""
    versions: dict[str, JSON] = {}
    for name in distributions:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = importlib.metadata.version(f"{name}-cpu")
    return versions
