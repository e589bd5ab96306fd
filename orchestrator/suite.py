"""The suite: which models, formats, runtimes and batch sizes are measured, and how often."""

from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from orchestrator.configuration import Configuration, load, name_of_null
from orchestrator.datasets import DATASETS
from orchestrator.errors import UsageError
from orchestrator.runtimes import FORMATS, RUNTIMES, SOURCE_FORMATS
from orchestrator.zoo import MODELS, Training


def _one_of(choices: tuple[str, ...], what: str) -> AfterValidator:
    def check(value: str) -> str:
        if value not in choices:
            raise ValueError(f"unknown {what}; choose from {', '.join(choices)}")
        return value

    return AfterValidator(check)


SourceFramework = Annotated[str, _one_of(tuple(SOURCE_FORMATS), "source framework")]
Format = Annotated[str, _one_of(FORMATS, "format")]
Runtime = Annotated[str, BeforeValidator(name_of_null), _one_of(RUNTIMES, "runtime")]
DataSet = Annotated[str, _one_of(tuple(DATASETS), "data set")]
Precision = Literal["float32", "float16"]
Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0)]


class ModelEntry(Configuration):
    """A network of the zoo, in one or both source frameworks, on one data set.

    `tolerance` is the largest absolute difference to the source's answers that is not wrong, by precision.
    """

    name: str
    source_frameworks: tuple[SourceFramework, ...] = Field(tuple(SOURCE_FORMATS), min_length=1)
    data: DataSet
    training: Training = Training()
    tolerance: dict[str, float] = Field({"float32": 1e-4, "float16": 1e-2})

    @model_validator(mode="after")
    def _known(self) -> "ModelEntry":
        for framework in self.source_frameworks:
            if (self.name, framework) not in MODELS:
                names = ", ".join(sorted({name for name, _ in MODELS}))
                raise ValueError(f"no model '{self.name}' in {framework}; the zoo has {names}")
        return self


class Trials(Configuration):
    """Fresh processes per case: for time and, apart from them, for memory."""

    timing: Count = 5
    memory: Annotated[int, Field(ge=0)] = 1


class StopRule(Configuration):
    """When a timing trial has enough samples; see StopRule in runner.proto."""

    min_samples: Count = 200
    min_time_s: Seconds = 0.5
    min_undisturbed_samples: Annotated[int, Field(ge=0)] = 100
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
    seed: int = 0
    models: tuple[ModelEntry, ...] = Field(min_length=1)
    formats: tuple[Format, ...] = Field(FORMATS, min_length=1)
    precisions: tuple[Precision, ...] = Field(("float32",), min_length=1)
    runtimes: tuple[Runtime, ...] = Field(min_length=1)
    batch_sizes: tuple[Count, ...] = Field((1,), min_length=1)
    threads: tuple[Count | Literal["auto"], ...] = Field((1,), min_length=1)
    trials: Trials = Trials()
    stop_rule: StopRule = StopRule()
    compute_only: bool = False
    trial_timeout_s: Seconds = 120.0


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
