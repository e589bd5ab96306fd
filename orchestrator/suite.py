"""The suite: which models, formats, runtimes and batch sizes are measured, and how often."""

import re
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, model_validator

from orchestrator.cases import Attack
from orchestrator.configuration import TAG, Configuration, load, name_of_null, once, one_of
from orchestrator.datasets import DATASETS
from orchestrator.errors import UsageError
from orchestrator.robustness import AttackEntry, Takes
from orchestrator.runtimes import FORMATS, RUNTIMES, SOURCE_FORMATS
from orchestrator.zoo import MODELS, Training

UNKNOWN = "unknown"
"""Source framework of a model that has not been looked at, or could not be."""
NOT_IN_A_NAME = re.compile(r"[^a-z0-9._-]+")
ZOO, OWN = (f"{TAG}{kind}" for kind in ("zoo", "own"))
DEFAULT_TOLERANCE = {"float32": 1e-4, "float16": 1e-2, "int8": 10.0}
"""8 bits move answers, and a row's errors tell how far; their tolerance only catches nonsense, be it in logits."""


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
    def precision(self) -> str:
        """Of the trained weights."""
        return "float32"

    @property
    def takes(self) -> Takes:
        """What an attack on it changes."""
        (inputs,) = {MODELS[self.name, framework].inputs for framework in self.source_frameworks}
        return "tokens" if inputs == "tokens" else "images"


class OwnEntry(Configuration):
    """A model that the user brings: a file or folder at `path`, or what the function `factory` gives, see `own`.

    `inputs` is an .npz archive that it is asked with; without one it is the function's, or `samples` made-up ones, with
    the sizes in `axes` where the model leaves them open.
    `source_framework` and `precision` are found out, see `own.suites`. A path is relative to the suite's folder.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
    path: str | None = None
    factory: Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")] | None = None
    inputs: str | None = None
    samples: Count = 32
    axes: dict[str, Count] = Field(default_factory=dict)
    source_framework: str = UNKNOWN
    precision: Precision = "float32"
    tolerance: Annotated[dict[Precision, Tolerance], AfterValidator(lambda given: DEFAULT_TOLERANCE | given)] = Field(
        DEFAULT_TOLERANCE
    )

    @model_validator(mode="before")
    @classmethod
    def _with_a_name(cls, given: Any) -> Any:
        """That of the file or the function, where the user gives none."""
        if not isinstance(given, dict):
            return given
        text = str(given.get("path") or given.get("factory") or "")
        stem = text.rpartition(":")[2] if given.get("factory") else Path(text).stem
        return {"name": NOT_IN_A_NAME.sub("-", stem.lower()).strip("-._") or "model"} | given

    @model_validator(mode="after")
    def _one_source(self) -> "OwnEntry":
        if (self.path is None) == (self.factory is None):
            raise ValueError(f"'{self.name}' has both a path and a factory; remove one")
        return self

    @property
    def source_frameworks(self) -> tuple[str, ...]:
        """The one that it is from."""
        return (self.source_framework,)

    @property
    def takes(self) -> None:
        """No attack: nobody knows what its inputs mean."""
        return

    def within(self, folder: Path) -> "OwnEntry":
        """The same with paths that do not depend on the current folder."""
        absolute = {name: str(folder.resolve() / text) for name in ("path", "inputs") if (text := getattr(self, name))}
        return self.model_copy(update=absolute)


def _kind_of(given: Any) -> str:
    keys = given if isinstance(given, dict) else {"path"} if isinstance(given, OwnEntry) else {}
    return OWN if "path" in keys or "factory" in keys else ZOO


Entry = Annotated[Annotated[ModelEntry, Tag(ZOO)] | Annotated[OwnEntry, Tag(OWN)], Discriminator(_kind_of)]


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
    """What one campaign measures; `precisions_of` has the formats that get others than `precisions`."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
    description: str = ""
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 0
    models: tuple[Entry, ...] = Field(min_length=1)
    formats: Annotated[tuple[Format, ...], Once] = Field(FORMATS, min_length=1)
    precisions: Annotated[tuple[Precision, ...], Once] = Field(("float32",), min_length=1)
    precisions_of: dict[Format, Annotated[tuple[Precision, ...], Once]] = Field(default_factory=dict)
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

    def attacks_on(self, entry: ModelEntry | OwnEntry) -> tuple[Attack, ...]:
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
        suite, folder = load(Path(name), Suite), Path(name).parent
        entries = (entry.within(folder) if isinstance(entry, OwnEntry) else entry for entry in suite.models)
        return suite.model_copy(update={"models": tuple(entries)})
    with resources.as_file(resources.files("orchestrator") / "suites") as folder:
        path = folder / f"{name}.yaml"
        if not path.is_file():
            names = ", ".join(sorted(file.stem for file in folder.glob("*.yaml")))
            raise UsageError(f"unknown suite '{name}'; choose from {names}, or give the path of a .yaml file")
        return load(path, Suite)
