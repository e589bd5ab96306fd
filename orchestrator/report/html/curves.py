"""What the page draws of single trials: raw samples and timelines thinned out, for drawing only."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from orchestrator.results.interference import Integers
from orchestrator.results.schema import MemorySection, Row
from orchestrator.results.selection import Name, case_of, counting
from orchestrator.results.summary import CaseSummary

_MOST_POINTS = 200
_LEAST_POINTS = 24
_ALL_POINTS = 300_000
"""Of all curves together: about 2 MB of the page."""


class Curves:
    """Looks at the rows on their way to the summaries and keeps a curve of each trial."""

    def __init__(self) -> None:
        self._rows: dict[str, Row] = {}
        self._sorted: dict[str, Integers] = {}

    def watch(self, rows: Iterable[Row]) -> Iterator[Row]:
        """The same rows."""
        for row in rows:
            if row.kind in ("timing", "memory"):
                self._add(row)
            yield row

    def of(self, cases: Sequence[CaseSummary]) -> dict[int, dict[str, list[Any]]]:
        """By the number of a case, those without trials left out.

        `timing` has, per trial, samples in ns from the least to the greatest, at equal steps of their rank; `memory`
        has, per trial, `at_ms`, `rss_kb` and, by phase, `peaks_kb`.
        """
        by_case: dict[Name, list[Row]] = defaultdict(list)
        for row in counting(self._rows.values()):
            by_case[case_of(row)].append(row)
        points = int(np.clip(_ALL_POINTS // max(len(self._rows), 1), _LEAST_POINTS, _MOST_POINTS))
        drawn = {number: self._drawn(by_case.get(_name(case), []), points) for number, case in enumerate(cases)}
        return {number: curves for number, curves in drawn.items() if any(curves.values())}

    def _add(self, row: Row) -> None:
        self._rows.pop(row.key, None)
        self._sorted.pop(row.key, None)
        if row.timing is not None and row.timing.samples_ns:
            samples = np.sort(np.array(row.timing.samples_ns, dtype=np.int64))
            self._sorted[row.key] = samples[_kept(len(samples), _MOST_POINTS)]
        self._rows[row.key] = row.model_copy(update={"timing": None})

    def _drawn(self, rows: Sequence[Row], points: int) -> dict[str, list[Any]]:
        curves = [self._sorted[row.key] for row in rows if row.key in self._sorted]
        return {
            "timing": [curve[_kept(len(curve), points)].tolist() for curve in curves],
            "memory": [_memory(row.memory, points) for row in rows if row.memory is not None],
        }


def _memory(section: MemorySection, points: int) -> dict[str, Any]:
    timeline = [section.timeline[index] for index in _kept(len(section.timeline), points)]
    return {
        "at_ms": [sample.at_ns // 1_000_000 for sample in timeline],
        "rss_kb": [sample.rss_bytes // 1_000 for sample in timeline],
        "peaks_kb": {phase.phase: phase.peak_bytes // 1_000 for phase in section.phases},
    }


def _kept(length: int, points: int) -> list[int]:
    """Indices at equal steps, both ends included."""
    return np.linspace(0, length - 1, min(length, points)).round().astype(int).tolist() if length else []


def _name(case: CaseSummary) -> Name:
    place = (case.model, case.source_framework, case.format, case.precision, case.host, case.runner, case.runtime)
    return (*place, case.device, case.batch_size, case.threads)
