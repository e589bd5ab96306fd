"""What fresh processes measured, the harness's and bare ones alike. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from orchestrator.results import statistics
from orchestrator.results.statistics import Floats, Integers, TrialSamples


@dataclass(frozen=True)
class Process:
    """One process; see TrialSamples. `references_ns`: shape (blocks + 1,)."""

    values_ns: Floats
    block_samples: Integers
    references_ns: Floats


def process(samples_ns: Sequence[int], block_samples: Sequence[int], references_ns: Sequence[int]) -> Process:
    """From plain integers."""
    values, references = np.array(samples_ns, np.float64), np.array(references_ns, np.float64)
    return Process(values, np.array(block_samples, np.int64), references)


def best_ns(processes: Iterable[Process]) -> float:
    """The host's best reference that any of them saw."""
    return statistics.host_best_ns(np.concatenate([process.references_ns for process in processes]))


def judged(processes: Iterable[Process], best_ns: float) -> list[TrialSamples]:
    """With the blocks marked that were undisturbed by the host's best reference."""
    return [
        TrialSamples(item.values_ns, item.block_samples, statistics.undisturbed_blocks(item.references_ns, best_ns))
        for item in processes
    ]


def median_ns(trials: Sequence[TrialSamples]) -> float:
    """As a report says it: of the undisturbed parts where there are enough of them, else as seen."""
    return statistics.median_ns(statistics.undisturbed_trials(trials) or trials)


@dataclass(frozen=True)
class Medians:
    """Of two sides that are held against each other: undisturbed ones where both have them, else as seen."""

    ours_ns: float
    bare_ns: float
    basis: Literal["undisturbed", "as-seen"]


def medians(ours: Sequence[Process], bare: Sequence[Process]) -> Medians:
    """Judged by the best reference of both."""
    best = best_ns([*ours, *bare])
    seen = judged(ours, best), judged(bare, best)
    quiet = [statistics.undisturbed_trials(side) for side in seen]
    if quiet[0] and quiet[1]:
        return Medians(statistics.median_ns(quiet[0]), statistics.median_ns(quiet[1]), "undisturbed")
    return Medians(statistics.median_ns(seen[0]), statistics.median_ns(seen[1]), "as-seen")
