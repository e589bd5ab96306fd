"""What is measured: the case, and the trial that measures it once."""

from dataclasses import dataclass
from typing import Literal

TrialKind = Literal["timing", "memory"]


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
