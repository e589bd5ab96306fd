"""What fresh processes measured, the harness's and bare ones alike. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

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
