"""What fresh processes measured, the harness's and bare ones alike. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from orchestrator.results import interference, statistics
from orchestrator.results.interference import Basis, Floats, Integers, Pace, TrialSamples


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


def pace(processes: Iterable[Process]) -> Pace:
    """The host's, from the references of all of them."""
    references_ns = np.concatenate([process.references_ns for process in processes])
    return Pace.of(references_ns, interference.host_best_ns(references_ns))


def judged(processes: Iterable[Process], pace: Pace) -> list[TrialSamples]:
    """In the light of the host's pace."""
    return [
        interference.judge(item.values_ns, item.block_samples, item.references_ns, item.waits_ns, pace)
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
    """Judged by the references of both."""
    common = pace([*ours, *bare])
    seen = judged(ours, common), judged(bare, common)
    quiet = [interference.correct(tuple(side)) for side in seen]
    if all(side.basis != "as-seen" for side in quiet):
        return Medians(statistics.median_ns(quiet[0].trials), statistics.median_ns(quiet[1].trials), quiet[0].basis)
    return Medians(statistics.median_ns(seen[0]), statistics.median_ns(seen[1]), "as-seen")
