"""What fresh processes measured, the harness's and bare ones alike. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from orchestrator.results import interference, statistics
from orchestrator.results.interference import Basis, Floats, Integers, TrialSamples


@dataclass(frozen=True)
class Process:
    """One process; see interference.judge."""

    values_ns: Floats
    block_samples: Integers
    references_ns: Floats
    waits_ns: Floats


def process(
    samples_ns: Sequence[int],
    block_samples: Sequence[int],
    references_ns: Sequence[int],
    waits_ns: Sequence[int] = (),
) -> Process:
    """From plain integers."""
    values, references, waits = (np.array(times, np.float64) for times in (samples_ns, references_ns, waits_ns))
    return Process(values, np.array(block_samples, np.int64), references, waits)


def best_ns(processes: Iterable[Process]) -> float:
    """The host's best reference that any of them saw."""
    return interference.host_best_ns(np.concatenate([process.references_ns for process in processes]))


def judged(processes: Iterable[Process], best_ns: float) -> list[TrialSamples]:
    """With the blocks marked that were undisturbed by the host's best reference."""
    return [
        interference.judge(item.values_ns, item.block_samples, item.references_ns, item.waits_ns, best_ns)
        for item in processes
    ]


def median_ns(trials: Sequence[TrialSamples]) -> float:
    """As a report says it: of the undisturbed parts where there are enough of them, else as seen."""
    return statistics.median_ns(interference.correct(tuple(trials)).trials)


@dataclass(frozen=True)
class Medians:
    """Of two sides that are held against each other: without interference where both can be, else as seen."""

    ours_ns: float
    bare_ns: float
    basis: Basis


def medians(ours: Sequence[Process], bare: Sequence[Process]) -> Medians:
    """Judged by the best reference of both."""
    best = best_ns([*ours, *bare])
    seen = judged(ours, best), judged(bare, best)
    quiet = [interference.correct(tuple(side)) for side in seen]
    if all(side.basis != "as-seen" for side in quiet):
        return Medians(statistics.median_ns(quiet[0].trials), statistics.median_ns(quiet[1].trials), quiet[0].basis)
    return Medians(statistics.median_ns(seen[0]), statistics.median_ns(seen[1]), "as-seen")
