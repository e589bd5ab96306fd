"""Attacks on models and what conversion does to their success. Nothing here imports a framework.

Adding an attack is a row here, and its part in the module that it names or a module of its own.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from orchestrator.cases import Against, Attack, Norm
from orchestrator.configuration import Configuration, once, one_of

Takes = Literal["images", "tokens"]


@dataclass(frozen=True)
class AttackKind:
    """What an attack needs and can do.

    `module` has `attacking`, see `robustness.images`. `takes` is what it changes: pixels of "images", or words of
    "tokens". `norms` are the measures of a change that it knows, the usual one first. With `has_epsilon` it stays
    within a given distance, else it looks for the smallest change. Without gradients (`against` has "runner") it can
    attack a model wherever that is. `iterations` is the usual number of its steps, None where there is nothing to
    choose. `chunk` inputs are attacked together; after each chunk what is done is kept.
    """

    module: str
    takes: Takes
    chunk: int
    norms: tuple[Norm, ...] = ()
    has_epsilon: bool = False
    iterations: int | None = None
    against: tuple[Against, ...] = ("source",)


_IMAGES, _TEXTS = "orchestrator.robustness.images", "orchestrator.robustness.texts"

ATTACKS = {
    "fgsm": AttackKind(_IMAGES, "images", 100, ("linf", "l2"), has_epsilon=True),
    "pgd": AttackKind(_IMAGES, "images", 50, ("linf", "l2"), has_epsilon=True, iterations=20),
    "deepfool": AttackKind(_IMAGES, "images", 20, ("l2",), iterations=50),
    "carlini-wagner": AttackKind(_IMAGES, "images", 20, ("l2",), iterations=20),
    "hopskipjump": AttackKind(_IMAGES, "images", 20, ("l2", "linf"), iterations=10, against=("source", "runner")),
    "alzantot": AttackKind(_TEXTS, "tokens", 25, iterations=10),
    "hotflip": AttackKind(_TEXTS, "tokens", 25),
}
"""Goodfellow et al. 2015; Madry et al. 2018; Moosavi-Dezfooli et al. 2016; Carlini and Wagner 2017; Chen et al. 2020;
Alzantot et al. 2018; Ebrahimi et al. 2018."""


class AttackEntry(Configuration):
    """An attack of a suite.

    `models` are networks of the suite, all that the attack applies to when None. The first `samples` test inputs that
    the source model classifies correctly are attacked. `epsilon` is the largest change, in units of inputs from 0 to 1:
    of any value ("linf"), or the Euclidean length of all changes ("l2"); `words` is the largest number of changed
    words. `against` "source" crafts on the source model and replays on every runner, "runner" attacks each artifact
    where it lives.
    """

    name: Annotated[str, AfterValidator(one_of(lambda: tuple(ATTACKS), "attack"))]
    models: Annotated[tuple[str, ...], AfterValidator(once)] | None = Field(default=None, min_length=1)
    samples: Annotated[int, Field(ge=1, le=100_000)] = 200
    epsilon: Annotated[tuple[Annotated[float, Field(gt=0, le=1)], ...], AfterValidator(once)] = ()
    norm: Norm | None = None
    words: Annotated[int, Field(ge=1, le=1000)] | None = None
    iterations: Annotated[int, Field(ge=1, le=100_000)] | None = None
    against: Annotated[tuple[Against, ...], AfterValidator(once)] = Field(default=("source",), min_length=1)

    @property
    def kind(self) -> AttackKind:
        """Its row of the table."""
        return ATTACKS[self.name]

    @model_validator(mode="after")
    def _fitting(self) -> "AttackEntry":
        for key, has, what in (
            ("epsilon", self.kind.has_epsilon, "between 0 and 1, for example [0.03, 0.1]"),
            ("words", self.kind.takes == "tokens", "for example 3"),
        ):
            if bool(getattr(self, key)) != has:
                raise ValueError(f"'{self.name}' needs {key}: {what}" if has else f"'{self.name}' has no {key}; remove")
        if self.iterations and not self.kind.iterations:
            raise ValueError(f"'{self.name}' has no iterations; remove")
        if self.norm and self.norm not in self.kind.norms:
            known = ", ".join(self.kind.norms) or "none; remove"
            raise ValueError(f"'{self.name}' does not know the norm '{self.norm}'; choose from {known}")
        if not set(self.against) <= set(self.kind.against):
            raise ValueError(f"'{self.name}' needs gradients, which only the source model has: against: [source]")
        return self

    def attacks(self) -> tuple[Attack, ...]:
        """One for each epsilon and each side that it is directed against."""
        norm = self.norm or next(iter(self.kind.norms), None)
        iterations = self.iterations or self.kind.iterations
        return tuple(
            Attack(self.name, norm, epsilon, self.words, iterations, self.samples, against)
            for against in self.against
            for epsilon in self.epsilon or (None,)
        )
