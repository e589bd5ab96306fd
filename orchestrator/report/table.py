"""The table after a run: a table on 100 columns, a list on fewer; below it a line for each problem."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from rich.console import Console, ConsoleOptions, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from orchestrator.report import units
from orchestrator.results.summary import CaseSummary, is_source

# Heading and width of the columns; with a space between them they are 100 wide. There is no room for the first
# inference; the list on narrower terminals and the report's files have it.
_COLUMNS = {
    "format/runtime": 16,
    "batch": 5,
    "accuracy": 8,
    "agrees": 6,
    "size": 7,
    "load": 7,
    "median (95 %)": 13,
    "ratio": 14,
    "memory": 7,
    "status": 8,
}
_TABLE_WIDTH = sum(_COLUMNS.values()) + len(_COLUMNS) - 1
_LEFT = ("format/runtime", "ratio", "status")
_FULL_BAR = 2.0
_STYLES = {"ok": "green", "checked": "green", "unstable": "yellow", "WRONG": "bold red", "FAILED": "bold red"}
_LEGEND = (
    "agrees: same label as the source's. median: of trials, interference taken out, with its 95 % interval. "
    "ratio: median over that of the source (base) at the same batch, above 1 is slower; its bar is full at 2. "
    "memory: peak of the process."
)


@dataclass(frozen=True)
class CampaignTable:
    """Renders summaries for whatever width the console has."""

    cases: Sequence[CaseSummary]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        if not self.cases:
            yield Text("No results yet.")
            return
        many_threads = len({case.threads for case in self.cases if case.threads}) > 1
        for title, group in groupby(self.cases, key=heading):
            yield Text(title, style="bold", overflow="fold")
            render = _table if options.max_width >= _TABLE_WIDTH else _list
            yield render(list(group), many_threads)
            yield Text()
        if any(case.median_ns is not None for case in self.cases):
            yield Text(_LEGEND, style="dim")
        yield from _remarks(self.cases, many_threads)


def table(cases: Sequence[CaseSummary]) -> CampaignTable:
    """The summaries, ordered as `summarise` does, for `rich.console.Console.print`.

    Names and messages are printed literally, whatever markup or control characters they hold.
    """
    return CampaignTable(cases)


def heading(case: CaseSummary) -> str:
    """The network and where it was executed: what the cases of a table share."""
    place = f"on {case.host}, {case.device}" if case.runtime else "not executed"
    data = f" ({', '.join((case.data, *_training(case)))})" if case.data else ""
    return units.literal(f"{case.model} from {case.source_framework}{data}, {place}")


def _training(case: CaseSummary) -> list[str]:
    """How far it came, where that is less than planned."""
    if case.epochs is None or case.planned_epochs is None or case.epochs > case.planned_epochs - 1:
        return []
    return [f"trained {case.epochs:.2g} of {case.planned_epochs} epochs"]


def _table(cases: Sequence[CaseSummary], many_threads: bool) -> Table:
    rendered = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="underline")
    for name, width in _COLUMNS.items():
        rendered.add_column(name, justify="left" if name in _LEFT else "right", width=width, overflow="fold")
    for case in cases:
        rendered.add_row(*_cells(case, many_threads))
    return rendered


def _cells(case: CaseSummary, many_threads: bool) -> list[Text]:
    name = _name(case)
    if len(name) > _COLUMNS["format/runtime"]:
        name = name.replace("/", "/\n", 1)
    name = "\n".join((name, *_variant(case, many_threads)))
    median = f"{units.duration(case.median_ns)} {units.interval(case.median_ns, *_ends(case))}".rstrip()
    figures = (
        units.UNKNOWN if case.batch_size is None else str(case.batch_size),
        units.share(case.accuracy),
        units.share(case.label_agreement),
        units.size(case.artifact_bytes),
        units.duration(case.load_ns),
        median,
        _ratio(case),
        units.size(case.peak_bytes),
    )
    return [Text(name), *(Text(figure) for figure in figures), status(case)]


def _list(cases: Sequence[CaseSummary], many_threads: bool) -> Table:
    """One paragraph per case."""
    rendered = Table.grid()
    rendered.add_column(overflow="fold")
    for case in cases:
        rendered.add_row(Text.assemble(label(case, many_threads), ": ", status(case)))
        rendered.add_row(Padding(Text(", ".join(_facts(case)), overflow="fold"), (0, 0, 0, 2)))
    return rendered


def _facts(case: CaseSummary) -> Iterator[str]:
    """What is known about a case, in words."""
    if case.median_ns is not None:
        yield f"median {units.duration(case.median_ns)} {units.interval(case.median_ns, *_ends(case))}".rstrip()
    if case.ratio_to_source is not None:
        yield f"{units.ratio(case.ratio_to_source)} the source's"
    figures = {
        "load": units.duration(case.load_ns),
        "first": units.duration(case.first_ns),
        "memory": units.size(case.peak_bytes),
        "device memory": units.size(case.device_delta_bytes),
        "accuracy": units.share(case.accuracy),
        "agrees": units.share(case.label_agreement),
        "size": units.size(case.artifact_bytes),
    }
    yield from (f"{name} {figure}" for name, figure in figures.items() if figure != units.UNKNOWN)


def _remarks(cases: Sequence[CaseSummary], many_threads: bool) -> Iterator[Text]:
    """One line per problem; the cases that share it are named once."""
    by_problem: dict[tuple[str, str], list[CaseSummary]] = {}
    for case in cases:
        for problem in problems(case):
            by_problem.setdefault(problem, []).append(case)
    for (mark, words), concerned in by_problem.items():
        first = concerned[0]
        others = f" and {len(concerned) - 1} more" if len(concerned) > 1 else ""
        who = f"{units.literal(f'{first.model} from {first.source_framework}')}, {label(first, many_threads)}{others}"
        yield Text.assemble((mark, _STYLES.get(mark, "")), f" {who}: {units.literal(words)}", overflow="fold")


def problems(case: CaseSummary) -> Iterator[tuple[str, str]]:
    """Mark and words of what is to be said about a case."""
    if case.status == "failed":
        yield "FAILED", f"{case.stage} {case.symptom}: {case.message}"
    elif case.status == "wrong":
        yield "WRONG", str(case.message)
    elif case.message:
        yield "note", case.message
    if case.trained is False:
        yield "note", "it is no better than naming the most frequent class, so its accuracy is no finding"
    if case.stable is False:
        yield "unstable", str(case.unstable_reason)


def status(case: CaseSummary) -> Text:
    """A word of its own for every status, so that colour only repeats it."""
    if case.status != "ok":
        word = case.status.upper()
    elif case.runtime is None:
        word = "not run"
    elif case.stable is False:
        word = "unstable"
    else:
        word = "ok" if case.batch_size is not None else "checked"
    return Text(word, style=_STYLES.get(word, ""))


def _ratio(case: CaseSummary) -> str:
    """The figure and a bar, which stands for 1 at the source itself."""
    if case.ratio_to_source is None and case.median_ns is not None and is_source(case):
        figure, value = "base", 1.0
    else:
        figure, value = units.ratio(case.ratio_to_source), case.ratio_to_source or 0.0
    figure = f"{figure:>5}"
    return f"{figure} {units.bar(value / _FULL_BAR, _COLUMNS['ratio'] - len(figure) - 1)}".rstrip()


def _name(case: CaseSummary) -> str:
    return units.literal(f"{case.format}/{case.runtime}" if case.runtime else case.format)


def _variant(case: CaseSummary, many_threads: bool) -> list[str]:
    """What only some campaigns vary."""
    threads = [f"{case.threads} threads"] if many_threads and case.threads else []
    return ([] if case.precision == "float32" else [units.literal(case.precision)]) + threads


def label(case: CaseSummary, many_threads: bool) -> str:
    """A case among those of its heading; with its threads where not all have the same."""
    batch = [f"batch {case.batch_size}"] if case.batch_size is not None else []
    return ", ".join((_name(case), *_variant(case, many_threads), *batch))


def _ends(case: CaseSummary) -> tuple[float | None, float | None]:
    return case.median_low_ns, case.median_high_ns
