"""What the page draws of single trials: raw samples and timelines thinned out, for drawing only."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from orchestrator.results.interference import Floats
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
        self._quantiles: dict[str, Floats] = {}

    def watch(self, rows: Iterable[Row]) -> Iterator[Row]:
        """The same rows."""
        for row in rows:
            if row.kind in ("timing", "memory"):
                self._add(row)
            yield row

    def of(self, cases: Sequence[CaseSummary]) -> dict[int, dict[str, list[Any]]]:
        """By the number of a case: `timing` has, per trial, quantiles of its samples at equal steps from 0 to 1, in ns;
        `memory` has, per trial, `at_ms`, `rss_kb` and `peaks_kb` by phase. Cases without either are left out."""
        by_case: dict[Name, list[Row]] = defaultdict(list)
        for row in counting(self._rows.values()):
            by_case[case_of(row)].append(row)
        points = int(np.clip(_ALL_POINTS // max(len(self._rows), 1), _LEAST_POINTS, _MOST_POINTS))
        drawn = {number: self._drawn(by_case.get(_name(case), []), points) for number, case in enumerate(cases)}
        return {number: curves for number, curves in drawn.items() if any(curves.values())}

    def _add(self, row: Row) -> None:
        self._rows.pop(row.key, None)
        self._quantiles.pop(row.key, None)
        if row.timing is not None and row.timing.samples_ns:
            steps = np.linspace(0, 1, min(len(row.timing.samples_ns), _MOST_POINTS))
            samples = np.array(row.timing.samples_ns, dtype=np.float64)
            self._quantiles[row.key] = np.asarray(np.quantile(samples, steps))
        self._rows[row.key] = row.model_copy(update={"timing": None})

    def _drawn(self, rows: Sequence[Row], points: int) -> dict[str, list[Any]]:
        curves = [self._quantiles[row.key] for row in rows if row.key in self._quantiles]
        return {
            "timing": [np.rint(curve[_kept(len(curve), points)]).astype(int).tolist() for curve in curves],
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
