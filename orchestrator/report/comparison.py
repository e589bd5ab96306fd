"""Two campaigns held against each other: sentences, then a table for people; an object for programs."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.report import units
from orchestrator.report.table import heading, label
from orchestrator.results.comparison import ATTACKS, TIME, CaseComparison, Comparison
from orchestrator.results.findings import NOT_TIMED, Finding, Judgement
from orchestrator.results.pairs import CASE

_OF_TIME = {
    Judgement.WORSE: "slower",
    Judgement.BETTER: "faster",
    Judgement.NO_DIFFERENCE: "no-difference",
    Judgement.NOT_COMPARABLE: "not-comparable",
}
_STYLES = {Judgement.WORSE: "bold red", Judgement.BETTER: "green", Judgement.NOT_COMPARABLE: "yellow"}
_FIGURES = (TIME, "status", "memory", "size", "accuracy", "agreement", "max_abs_error", "mean_abs_error", ATTACKS)
_RATIOS = (TIME, "memory", "size", "max_abs_error", "mean_abs_error")
_COLUMNS = {"format/runtime": 26, "base": 8, "other": 8, "ratio (95 %)": 12, "verdict": 14, "also": 26}
_LEAST_DRIFT = 0.005
_LEGEND = (
    "base, other: medians of trials, interference taken out. ratio: other over base, above 1 is slower. A difference "
    "is significant after Holm's correction for the number of cases and, but for shares, beyond the threshold."
)


def as_object(comparison: Comparison, base: str, other: str) -> dict[str, Any]:
    """One object per case: its time in the case itself, every other figure in an object of its own, null where neither
    side has it. Shares and ratios are numbers, not per cent."""
    return {
        "base": base,
        "other": other,
        "threshold": comparison.threshold,
        "across": list(comparison.across),
        "cases": [_case_as_object(case) for case in comparison.cases],
    }


def _case_as_object(case: CaseComparison) -> dict[str, Any]:
    time = case.figures[TIME]
    return {
        **{name: getattr(case.case, name) for name in CASE},
        "verdict": _OF_TIME[time.verdict],
        "ratio": time.change,
        "ratio_low": time.low,
        "ratio_high": time.high,
        "p_value": time.p_value,
        "reason": time.reason,
        "base_median_ns": time.base,
        "median_ns": time.other,
        "host_drift": case.drift,
        "changed": dict(case.changed),
        **{name: asdict(case.figures[name]) if name in case.figures else None for name in _FIGURES[1:-1]},
        ATTACKS: {name: asdict(finding) for name, finding in case.attacks.items()},
    }


@dataclass(frozen=True)
class ComparisonReport:
    """Renders a comparison of the campaigns in the folders `base` and `other`."""

    comparison: Comparison
    base: str
    other: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        cases = self.comparison.cases
        many_threads = len({case.case.threads for case in cases if case.case.threads}) > 1
        yield Text(self._heading(), style="bold", overflow="fold")
        yield Text()
        yield from _sentences(cases, many_threads)
        yield Text()
        for network, group in groupby(cases, key=lambda case: heading(case.case)):
            yield Text(network, style="bold", overflow="fold")
            yield _table(list(group), many_threads)
            yield Text()
        yield Text(_LEGEND, style="dim")
        yield from _remarks(cases, many_threads)
        undeclared = dict.fromkeys(
            condition for case in cases for condition in case.changed if condition not in self.comparison.across
        )
        if undeclared:
            wanted = ",".join((*self.comparison.across, *undeclared))
            yield Text(f"If that is meant to differ, say so: --across {wanted}", style="bold")

    def _heading(self) -> str:
        across = f", across {' and '.join(self.comparison.across)}" if self.comparison.across else ""
        words = (
            f"{self.other} held against the base {self.base}{across}; threshold {_percent(self.comparison.threshold)}"
        )
        return units.literal(words)


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


_Found = list[tuple[CaseComparison, Finding]]


def _sentences(cases: tuple[CaseComparison, ...], many_threads: bool) -> Iterator[Text]:
    """The times first; figures that nothing can be told of share the last one."""
    quiet = []
    for figure in _FIGURES:
        found = _distinct(cases, figure)
        if figure == TIME:
            yield Text(_about_time(found, many_threads), overflow="fold")
            yield from (Text(words, overflow="fold") for words in _about_pace(cases))
        elif any(finding.verdict in (Judgement.WORSE, Judgement.BETTER) for _, finding in found):
            yield Text(_about(figure, found, many_threads), overflow="fold")
        elif any(finding.verdict is Judgement.NO_DIFFERENCE for _, finding in found):
            quiet.append(_words(figure))
    if quiet:
        yield Text(f"No difference is shown in {', '.join(quiet)}.", overflow="fold")


def _distinct(cases: tuple[CaseComparison, ...], figure: str) -> _Found:
    """Once each: cases may share a figure."""
    found = {subject: (case, finding) for case in cases for name, subject, finding in case.findings() if name == figure}
    return list(found.values())


def _about_time(found: _Found, many_threads: bool) -> str:
    compared = [pair for pair in found if pair[1].verdict is not Judgement.NOT_COMPARABLE]
    left = sum(finding.reason != NOT_TIMED for _, finding in found) - len(compared)
    if not compared:
        return f"None of {_cases(left)} can be compared in time." if left else "Neither campaign has timed anything."
    slower, faster = (_those(compared, verdict) for verdict in (Judgement.WORSE, Judgement.BETTER))
    of_all = f"{len(slower) or 'None'} of {_cases(len(compared))}"
    parts = [f"{of_all} {_are(slower)} slower{_extreme(TIME, slower, many_threads)}"]
    if faster:
        parts.append(f"{len(faster)} {_are(faster)} faster{_extreme(TIME, faster, many_threads)}")
    if alike := _those(compared, Judgement.NO_DIFFERENCE):
        parts.append(f"no difference is shown in {len(alike)}")
    return "; ".join(parts) + (f". {_cases(left).capitalize()} cannot be compared in time." if left else ".")


def _about_pace(cases: tuple[CaseComparison, ...]) -> Iterator[str]:
    """Of each host, where it was taken out."""
    drifts = dict.fromkeys((case.case.host, case.drift) for case in cases if case.drift is not None)
    for host, drift in drifts:
        if drift is not None and abs(drift - 1) >= _LEAST_DRIFT:
            changed = f"{_percent(abs(drift - 1))} {'more' if drift > 1 else 'less'} time"
            yield units.literal(f"The host {host} by itself took {changed} than for the base, taken out of the ratios.")


def _about(figure: str, found: _Found, many_threads: bool) -> str:
    compared = sum(finding.verdict is not Judgement.NOT_COMPARABLE for _, finding in found)
    parts = [
        f"{len(those)} of {compared} {verdict}{_extreme(figure, those, many_threads)}"
        for verdict in (Judgement.WORSE, Judgement.BETTER)
        if (those := _those(found, verdict))
    ]
    return f"{_words(figure).capitalize()}: {'; '.join(parts)}."


def _words(figure: str) -> str:
    return figure.replace("_abs_", " absolute ")


def _those(found: _Found, verdict: Judgement) -> _Found:
    return [pair for pair in found if pair[1].verdict is verdict]


def _are(those: _Found) -> str:
    return "are" if len(those) > 1 else "is"


def _cases(count: int) -> str:
    return f"{count} case" if count == 1 else f"{count} cases"


def _extreme(figure: str, those: _Found, many_threads: bool) -> str:
    """The one that changed most, if there is one."""
    if not those:
        return ""
    neutral = 1.0 if figure in _RATIOS else 0.0
    case, finding = max(those, key=lambda pair: abs((pair[1].change or neutral) - neutral))
    who = units.literal(f"{case.case.model} from {case.case.source_framework}")
    extreme = "worst" if finding.verdict is Judgement.WORSE else "best"
    most = f"the {extreme} " if len(those) > 1 and finding.change is not None else ""
    return f", {most}{_change(figure, finding)} ({who}, {label(case.case, many_threads)})"


def _change(figure: str, finding: Finding) -> str:
    if finding.change is None:
        return finding.reason.partition(":")[0]
    return units.ratio(finding.change) if figure in _RATIOS else f"{100 * finding.change:+.1f} points"


def _table(cases: list[CaseComparison], many_threads: bool) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="underline")
    for name, width in _COLUMNS.items():
        left = name in ("format/runtime", "verdict", "also")
        table.add_column(name, justify="left" if left else "right", width=width, overflow="fold")
    for case in cases:
        table.add_row(*_cells(case, many_threads))
    return table


def _cells(case: CaseComparison, many_threads: bool) -> tuple[Text, ...]:
    time = case.figures[TIME]
    interval = units.interval(time.change, time.low, time.high)
    others = [
        f"{_words(name)} {_change(name, found)}"
        for name, found in _others(case).items()
        if found.verdict in (Judgement.WORSE, Judgement.BETTER)
    ]
    return (
        Text(label(case.case, many_threads)),
        Text(_median(time.base)),
        Text(_median(time.other)),
        Text(f"{units.ratio(time.change)} {interval}".rstrip()),
        _verdict(time),
        Text(units.literal(", ".join(others))),
    )


def _verdict(time: Finding) -> Text:
    if time.reason == NOT_TIMED:
        return Text("not timed")
    return Text(_OF_TIME[time.verdict], style=_STYLES.get(time.verdict, ""))


def _others(case: CaseComparison) -> Mapping[str, Finding]:
    return {**{name: found for name, found in case.figures.items() if name != TIME}, **case.attacks}


def _median(value: float | str | None) -> str:
    return units.duration(value) if isinstance(value, float) else units.UNKNOWN


def _remarks(cases: tuple[CaseComparison, ...], many_threads: bool) -> Iterator[Text]:
    """Why something is not comparable, and what got worse in more than a number; cases that share it are named once."""
    concerned: dict[tuple[Judgement, str], list[CaseComparison]] = {}
    for case in cases:
        for verdict, words in _problems(case):
            concerned.setdefault((verdict, words), []).append(case)
    for (verdict, words), those in concerned.items():
        first = those[0].case
        more = f" and {len(those) - 1} more" if len(those) > 1 else ""
        who = units.literal(f"{first.model} from {first.source_framework}, {label(first, many_threads)}")
        yield Text.assemble((verdict, _STYLES[verdict]), f" {who}{more}: {units.literal(words)}", overflow="fold")


def _problems(case: CaseComparison) -> Iterator[tuple[Judgement, str]]:
    time, status = case.figures[TIME], case.figures.get("status")
    if status and status.verdict is Judgement.WORSE:
        yield Judgement.WORSE, status.reason
    elif time.verdict is Judgement.NOT_COMPARABLE and time.reason != NOT_TIMED:
        yield Judgement.NOT_COMPARABLE, time.reason
    others: dict[str, list[str]] = {}
    for name, found in _others(case).items():
        if found.verdict is Judgement.NOT_COMPARABLE and found.reason != time.reason:
            others.setdefault(found.reason, []).append(_words(name))
    yield from ((Judgement.NOT_COMPARABLE, f"{', '.join(names)}: {reason}") for reason, names in others.items())
