"""The suite: which models, formats, runtimes and batch sizes are measured, and how often."""

from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from orchestrator.cases import Attack
from orchestrator.configuration import Configuration, load, name_of_null, once, one_of
from orchestrator.datasets import DATASETS
from orchestrator.errors import UsageError
from orchestrator.robustness import AttackEntry, Takes
from orchestrator.runtimes import FORMATS, RUNTIMES, SOURCE_FORMATS
from orchestrator.zoo import MODELS, Training

DEFAULT_TOLERANCE = {"float32": 1e-4, "float16": 1e-2}


def _one_of(choices: tuple[str, ...], what: str) -> AfterValidator:
    return AfterValidator(one_of(lambda: choices, what))


SourceFramework = Annotated[str, _one_of(tuple(SOURCE_FORMATS), "source framework")]
Format = Annotated[str, _one_of(FORMATS, "format")]
Runtime = Annotated[str, BeforeValidator(name_of_null), _one_of(RUNTIMES, "runtime")]
DataSet = Annotated[str, _one_of(tuple(DATASETS), "data set")]
Precision = Annotated[str, _one_of(tuple(DEFAULT_TOLERANCE), "precision")]
Count = Annotated[int, Field(ge=1, le=2**31 - 1)]
Seconds = Annotated[float, Field(gt=0, le=7 * 24 * 3600)]
Tolerance = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Once = AfterValidator(once)


class ModelEntry(Configuration):
    """A network of the zoo, in one or both source frameworks, on one data set.

    `tolerance` is the largest absolute difference to the source's answers that is not wrong, by precision; checks ask
    for the answers to the first `test_samples` of the test set, None for all.
    """

    name: str
    source_frameworks: Annotated[tuple[SourceFramework, ...], Once] = Field(tuple(SOURCE_FORMATS), min_length=1)
    data: DataSet
    training: Training = Training()
    test_samples: Count | None = None
    tolerance: Annotated[dict[Precision, Tolerance], AfterValidator(lambda given: DEFAULT_TOLERANCE | given)] = Field(
        DEFAULT_TOLERANCE
    )

    @model_validator(mode="after")
    def _known(self) -> "ModelEntry":
        for framework in self.source_frameworks:
            if (self.name, framework) not in MODELS:
                names = ", ".join(sorted({name for name, _ in MODELS}))
                raise ValueError(f"no model '{self.name}' in {framework}; the zoo has {names}")
            wanted = MODELS[self.name, framework].inputs
            if wanted not in DATASETS[self.data].inputs:
                fitting = ", ".join(name for name, entry in DATASETS.items() if wanted in entry.inputs)
                raise ValueError(
                    f"'{self.name}' takes {wanted}, which '{self.data}' does not have; choose from {fitting}"
                )
        return self

    @property
    def takes(self) -> Takes:
        """What an attack on it changes."""
        (inputs,) = {MODELS[self.name, framework].inputs for framework in self.source_frameworks}
        return "tokens" if inputs == "tokens" else "images"


class Trials(Configuration):
    """Fresh processes per case: for time and, apart from them, for memory; none of both asks for answers only."""

    timing: Annotated[int, Field(ge=0, le=2**31 - 1)] = 5
    memory: Annotated[int, Field(ge=0, le=2**31 - 1)] = 1


class StopRule(Configuration):
    """When a timing trial has enough samples; see StopRule in runner.proto."""

    min_samples: Count = 200
    min_time_s: Seconds = 0.5
    min_undisturbed_samples: Annotated[int, Field(ge=0, le=2**31 - 1)] = 100
    max_time_s: Seconds = 3.0
    max_warmup_s: Seconds = 1.0

    @model_validator(mode="after")
    def _ordered(self) -> "StopRule":
        if self.min_time_s > self.max_time_s:
            raise ValueError("min_time_s is above max_time_s; lower the first or raise the second")
        return self


class Suite(Configuration):
    """What one campaign measures."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
    description: str = ""
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 0
    models: tuple[ModelEntry, ...] = Field(min_length=1)
    formats: Annotated[tuple[Format, ...], Once] = Field(FORMATS, min_length=1)
    precisions: Annotated[tuple[Precision, ...], Once] = Field(("float32",), min_length=1)
    runtimes: Annotated[tuple[Runtime, ...], Once] = Field(min_length=1)
    batch_sizes: Annotated[tuple[Count, ...], Once] = Field((1,), min_length=1)
    threads: Annotated[tuple[Count | Literal["auto"], ...], Once] = Field((1,), min_length=1)
    trials: Trials = Trials()
    stop_rule: StopRule = StopRule()
    attacks: tuple[AttackEntry, ...] = ()
    compute_only: bool = False
    trial_timeout_s: Seconds = 120.0
    attack_timeout_s: Seconds = 3600.0

    @model_validator(mode="after")
    def _networks_differ(self) -> "Suite":
        once(tuple(f"{entry.name} in {framework}" for entry in self.models for framework in entry.source_frameworks))
        return self

    @model_validator(mode="after")
    def _attacks_apply(self) -> "Suite":
        for index, attack in enumerate(self.attacks):
            fitting = dict.fromkeys(entry.name for entry in self.models if entry.takes == attack.kind.takes)
            unfit = next((name for name in attack.models or () if name not in fitting), None)
            remedy = f"choose from {', '.join(fitting)}" if fitting else "this suite has none, choose another attack"
            if unfit or not fitting:
                what = f"'{attack.name}' is for models of this suite that take {attack.kind.takes}"
                found = f" (found '{unfit}')" if unfit else ""
                raise ValueError(f"attacks[{index}].{'models' if unfit else 'name'}: {what}; {remedy}{found}")
        for entry in self.models:
            once(tuple(f"attacks: {attack.label} on {entry.name}" for attack in self.attacks_on(entry)))
        return self

    def attacks_on(self, entry: ModelEntry) -> tuple[Attack, ...]:
        """Of the suite's attacks those that `entry` undergoes."""
        return tuple(
            attack
            for wanted in self.attacks
            if wanted.kind.takes == entry.takes and (wanted.models is None or entry.name in wanted.models)
            for attack in wanted.attacks()
        )


def load_suite(name: str) -> Suite:
    """The suite of that name that comes with portbench, or the YAML file at that path.

    Raises:
        UsageError: there is no such suite, or it has a mistake.
    """
    if name.endswith((".yaml", ".yml")) or "/" in name:
        return load(Path(name), Suite)
    with resources.as_file(resources.files("orchestrator") / "suites") as folder:
        path = folder / f"{name}.yaml"
        if not path.is_file():
            names = ", ".join(sorted(file.stem for file in folder.glob("*.yaml")))
            raise UsageError(f"unknown suite '{name}'; choose from {names}, or give the path of a .yaml file")
        return load(path, Suite)
