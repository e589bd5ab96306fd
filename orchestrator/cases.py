"""What is measured: the case, the trial that measures it once, the attack that is replayed on it."""

from dataclasses import dataclass
from typing import Literal

TrialKind = Literal["timing", "memory"]
Norm = Literal["linf", "l2"]
Against = Literal["source", "runner"]


@dataclass(frozen=True, order=True)
class ArtifactName:
    """Which artifact of a campaign is meant, before it exists.

    `model` is the zoo's name without the framework ("lenet5"); `source_framework` tells the two networks of one name
    apart.
    """

    model: str
    source_framework: str
    format: str
    precision: str


@dataclass(frozen=True, order=True)
class Case:
    """model x format x precision x runtime x device x batch size x threads, on one runner of one host.

    `threads` is 0 as long as the processors of the runner, which `auto` stands for, are not known.
    """

    artifact: ArtifactName
    host: str
    runner: str
    runtime: str
    device: str
    batch_size: int
    threads: int


@dataclass(frozen=True, order=True)
class Trial:
    """One case measured once in one fresh process; `index` counts the trials of this case and kind."""

    case: Case
    kind: TrialKind
    index: int


@dataclass(frozen=True)
class Attack:
    """One attack on one model; of the fields, see `robustness.AttackEntry`, those that do not apply are None."""

    name: str
    norm: Norm | None
    epsilon: float | None
    words: int | None
    iterations: int | None
    samples: int
    against: Against

    @property
    def label(self) -> str:
        """What tells it from the other attacks on a model: "pgd-linf-0.03", "hotflip-3", "hopskipjump-l2-runner"."""
        told = (self.name, self.norm, self.epsilon, self.words, "runner" if self.against == "runner" else None)
        return "-".join(str(part) for part in told if part is not None)
