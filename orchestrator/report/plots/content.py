"""What the PNG plots show, as plain values: of many cases the most telling, and how many are left out.

Every text is literal and short enough to be drawn.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.report import robustness, units
from orchestrator.report.answer import conversion_of, network_of
from orchestrator.report.html.charts import pareto
from orchestrator.report.html.curves import Curves
from orchestrator.results.summary import CaseSummary, is_source

MOST_ROWS = 36
MOST_COLUMNS = 12
MOST_SERIES = 8
MOST_PANELS = 6
MOST_CHARACTERS = 48


@dataclass(frozen=True)
class Point:
    """`low` and `high` are the ends of its 95 % interval, None where there is none."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None


Points = tuple[Point, ...]


@dataclass(frozen=True)
class Dots:
    """A line for each of `rows`; the dots of a series have for y the number of their row. x is logarithmic."""

    name: str
    title: str
    axis: str
    rows: tuple[str, ...]
    series: Mapping[str, Points]
    note: str
    reference: float | None = None


@dataclass(frozen=True)
class Panel:
    """A small plot about one network: the points of each series by its number, what joins points of several series, and
    of each series a level."""

    title: str
    points: Mapping[int, Points]
    fronts: tuple[Points, ...] = ()
    levels: Mapping[int, float] | None = None


@dataclass(frozen=True)
class Panels:
    """Small plots with the same series: dots on a logarithmic x, or where they have levels, lines."""

    name: str
    title: str
    x_axis: str
    y_axis: str
    series: tuple[str, ...]
    panels: tuple[Panel, ...]
    note: str


@dataclass(frozen=True)
class Heat:
    """Cells by row and column, each a value and a text; on a scale `diverging` about 0, else a logarithmic one."""

    name: str
    title: str
    scale: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: Mapping[tuple[int, int], tuple[float | None, str]]
    note: str
    diverging: bool


Plot = Dots | Panels | Heat

NAMES = ("latency", "ratio", "front", "memory", "timeline", "fidelity", "robustness")
"""All that there may be."""


def plots(cases: Sequence[CaseSummary], curves: Curves) -> list[Plot]:
    """Those for which the campaign has figures; `curves` has watched the rows of the cases."""
    found = (_latency(cases), _ratio(cases), _front(cases), _peaks(cases), _timeline(cases, curves))
    return [plot for plot in (*found, _fidelity(cases), _robustness(cases)) if plot is not None]


def _latency(cases: Sequence[CaseSummary]) -> Dots | None:
    timed = [(case, case.median_ns / 1e6) for case in cases if case.median_ns]
    return _side_by_side("latency", "Median time of an inference, with its 95 % interval", "ms", timed)


def _peaks(cases: Sequence[CaseSummary]) -> Dots | None:
    known = [(case, case.peak_bytes / 1e6) for case in cases if case.peak_bytes]
    return _side_by_side("memory", "Peak memory of the process, as the kernel kept it", "MB", known)


def _side_by_side(name: str, title: str, axis: str, figures: Sequence[tuple[CaseSummary, float]]) -> Dots | None:
    """A row for each network and batch size, a dot for each runtime and device."""
    if not figures:
        return None
    rows = _spread([_row(case) for case, _ in figures])
    series: dict[str, list[Point]] = {who: [] for who in _most_frequent([_who(case) for case, _ in figures])}
    for case, value in figures:
        if _row(case) in rows and _who(case) in series:
            ends = _ends(case, value) if name == "latency" else (None, None)
            series[_who(case)].append(Point(value, rows[_row(case)], *ends))
    drawn = sum(map(len, series.values()))
    note = _left_out(drawn, len(figures), "the smallest and the largest batches of every network")
    labels = tuple(_short(f"{network}, batch {batch}") for network, batch in rows)
    return Dots(name, title, axis, labels, {_short(who): tuple(points) for who, points in series.items()}, note)


def _ends(case: CaseSummary, value_ms: float) -> tuple[float | None, float | None]:
    """In ms; on a logarithmic axis no end can be 0."""
    low, high = case.median_low_ns, case.median_high_ns
    return (max(low / 1e6, value_ms / 1e3), high / 1e6) if low is not None and high is not None else (None, None)


def _ratio(cases: Sequence[CaseSummary]) -> Dots | None:
    compared = [case for case in cases if case.ratio_to_source]
    if not compared:
        return None
    drawn = sorted(compared, key=lambda case: abs(math.log(case.ratio_to_source or 1.0)), reverse=True)[:MOST_ROWS]
    drawn.sort(key=compared.index)
    series: dict[str, list[Point]] = {"faster": [], "slower": [], "no difference shown": []}
    for row, case in enumerate(drawn):
        low, high = case.ratio_to_source_low or None, case.ratio_to_source_high
        known = low is not None and high is not None and not low <= 1 <= high
        verdict = ("faster" if (case.ratio_to_source or 1.0) < 1 else "slower") if known else "no difference shown"
        series[verdict].append(Point(case.ratio_to_source or 1.0, row, low, high))
    return Dots(
        "ratio",
        "Time beside the source framework's own runtime, with its 95 % interval",
        "times the source's median; below 1 is faster",
        tuple(f"{_short(network_of(case), 24)}, batch {case.batch_size}: {_short(_who(case), 36)}" for case in drawn),
        {verdict: tuple(points) for verdict, points in series.items()},
        _left_out(len(drawn), len(compared), "those that differ most"),
        reference=1.0,
    )


def _front(cases: Sequence[CaseSummary]) -> Panels | None:
    """A dot for each case; the front of each batch size is a line."""
    known = [case for case in cases if case.median_ns and case.accuracy is not None]
    if not known:
        return None
    best = {id(cases[number]) for number in pareto(cases)}
    who = list(_most_frequent([_who(case) for case in known]))
    rows = _spread([_row(case) for case in known])
    drawn = [case for case in known if _row(case) in rows and _who(case) in who]
    networks = list(dict.fromkeys(map(network_of, drawn)))[:MOST_PANELS]
    panels = [_front_panel([case for case in drawn if network_of(case) == one], who, best) for one in networks]
    return Panels(
        "front",
        "Accuracy against the median time of an inference; lines join what nothing else of a batch size beats in both",
        "median, ms",
        "accuracy, %",
        tuple(map(_short, who)),
        tuple(panels),
        _left_out(sum(network_of(case) in networks for case in drawn), len(known), "some batches of some networks"),
    )


def _front_panel(cases: Sequence[CaseSummary], who: Sequence[str], best: set[int]) -> Panel:
    def point(case: CaseSummary) -> Point:
        return Point((case.median_ns or 0.0) / 1e6, 100 * (case.accuracy or 0.0))

    fronts = [
        sorted((point(case) for case in cases if case.batch_size == batch and id(case) in best), key=lambda it: it.x)
        for batch in dict.fromkeys(case.batch_size for case in cases)
    ]
    return Panel(
        _short(network_of(cases[0])),
        {number: tuple(point(case) for case in cases if _who(case) == name) for number, name in enumerate(who)},
        tuple(map(tuple, fronts)),
    )


def _timeline(cases: Sequence[CaseSummary], curves: Curves) -> Panels | None:
    """A line for each runtime and device at its smallest batch: its first memory trial, with the kernel's peak."""
    known = sorted((case for case in cases if case.memory_trials), key=lambda case: case.batch_size or 0)
    who = list(_most_frequent([_who(case) for case in known]))
    smallest = {(network_of(case), _who(case)): case for case in reversed(known) if _who(case) in who}
    networks = list(dict.fromkeys(network_of(case) for case in cases if case.memory_trials))[:MOST_PANELS]
    chosen = {key: case for key, case in smallest.items() if key[0] in networks}
    drawn = {key: it["memory"][0] for key, it in zip(chosen, _curves(curves, list(chosen.values())), strict=True) if it}
    found = {key: trial for key, trial in drawn.items() if trial["at_ms"]}
    if not found:
        return None
    panels = [
        Panel(
            _short(network),
            {
                who.index(name): tuple(
                    Point(at / 1e3, rss / 1e3) for at, rss in zip(trial["at_ms"], trial["rss_kb"], strict=True)
                )
                for (of, name), trial in found.items()
                if of == network
            },
            levels={
                who.index(name): max(trial["peaks_kb"].values()) / 1e3
                for (of, name), trial in found.items()
                if of == network
            },
        )
        for network in networks
    ]
    return Panels(
        "timeline",
        "Resident memory over time, sampled in the first memory trial; dotted: the peak that the kernel kept",
        "s",
        "MB",
        tuple(map(_short, who)),
        tuple(panels),
        _left_out(len(found), len(known), "the smallest batches"),
    )


def _curves(curves: Curves, cases: Sequence[CaseSummary]) -> Iterator[dict[str, list[Any]] | None]:
    """Of each case, None for one without memory trials."""
    found = curves.of(cases)
    for number in range(len(cases)):
        drawn = found.get(number)
        yield drawn if drawn and drawn["memory"] else None


def _fidelity(cases: Sequence[CaseSummary]) -> Heat | None:
    checked = [case for case in cases if not is_source(case) and case.label_agreement is not None]
    return _heat(
        "fidelity",
        "Fidelity: largest difference to the source's answers; in the cells the share of inputs with its label",
        "largest absolute difference",
        {(network_of(case), _who(case)): (case.max_abs_error, units.share(case.label_agreement)) for case in checked},
        diverging=False,
    )


def _robustness(cases: Sequence[CaseSummary]) -> Heat | None:
    attacked = [case for case in robustness.places(cases) if not is_source(case)]
    return _heat(
        "robustness",
        "Robustness: attacked inputs that are wrong, less those that the source gets wrong",
        "percentage points; above 0 is more vulnerable",
        {
            (f"{_short(network_of(case), 24)}: {_short(_who(case), 36)}", units.literal(attack.attack)): (
                100 * attack.difference,
                f"{100 * attack.difference + 0.0:+.1f}",
            )
            for case in attacked
            for attack in case.attacks
            if attack.difference is not None
        },
        diverging=True,
    )


def _heat(
    name: str, title: str, scale: str, found: Mapping[tuple[str, str], tuple[float | None, str]], diverging: bool
) -> Heat | None:
    if not found:
        return None
    rows = list(dict.fromkeys(row for row, _ in found))[:MOST_ROWS]
    columns = list(dict.fromkeys(column for _, column in found))[:MOST_COLUMNS]
    cells = {
        (rows.index(row), columns.index(column)): cell
        for (row, column), cell in found.items()
        if row in rows and column in columns
    }
    note = _left_out(len(cells), len(found), "the first")
    labels = tuple(_short(row, 64) for row in rows), tuple(_short(column, 32) for column in columns)
    return Heat(name, title, scale, *labels, cells, note, diverging)


_Row = tuple[str, int | None]


def _row(case: CaseSummary) -> _Row:
    return network_of(case), case.batch_size


def _who(case: CaseSummary) -> str:
    """What executed it, and where."""
    threads = f", {case.threads} threads" if (case.threads or 1) > 1 else ""
    return units.literal(f"{conversion_of(case)} on {case.host}, {case.device}{threads}")


def _spread(rows: Sequence[_Row]) -> dict[_Row, int]:
    """At most MOST_ROWS of them with their numbers, in order: by turns of each network the smallest batch, the largest,
    the second smallest, and so on."""
    networks: dict[str, list[_Row]] = {}
    for row in dict.fromkeys(rows):
        networks.setdefault(row[0], []).append(row)
    ranked = []
    for order, of_network in enumerate(networks.values()):
        of_network.sort(key=lambda row: row[1] or 0)
        for rank, row in enumerate(of_network):
            turn = min(2 * rank, 2 * (len(of_network) - rank) - 1)
            ranked.append((turn, order, row))
    chosen = {row for _, _, row in sorted(ranked)[:MOST_ROWS]}
    kept = [row for of_network in networks.values() for row in of_network if row in chosen]
    return {row: number for number, row in enumerate(kept)}


def _most_frequent(names: Sequence[str]) -> dict[str, None]:
    """At most MOST_SERIES, in the order of their first."""
    kept = {name for name, _ in Counter(names).most_common(MOST_SERIES)}
    return {name: None for name in names if name in kept}


def _left_out(drawn: int, known: int, which: str) -> str:
    return "" if drawn == known else f"{drawn:,} of {known:,} drawn: {which}"


def _short(text: str, most: int = MOST_CHARACTERS) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}\N{HORIZONTAL ELLIPSIS}"
