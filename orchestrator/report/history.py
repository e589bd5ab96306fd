"""Cases across campaigns, as tables for people and as an object for programs."""

from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.report import units
from orchestrator.report.table import heading, label
from orchestrator.results.history import Entry
from orchestrator.results.pairs import CASE

_COLUMNS = {
    "campaign": 22,
    "median (95 %)": 13,
    "to the first": 12,
    "accuracy": 8,
    "size": 7,
    "memory": 7,
    "remarks": 24,
}
_FIGURES = (
    "status",
    "median_ns",
    "median_low_ns",
    "median_high_ns",
    "stable",
    "accuracy",
    "label_agreement",
    "artifact_bytes",
    "peak_bytes",
    "artifact_sha256",
    "image_digest",
    "host_fingerprint",
    "isolation",
)


def as_object(cases: Sequence[Sequence[Entry]]) -> dict[str, Any]:
    """One object per case, in it one per campaign, oldest first."""
    return {
        "cases": [
            {name: getattr(entries[0].case, name) for name in CASE}
            | {"campaigns": [_entry_as_object(entry) for entry in entries]}
            for entries in cases
        ]
    }


def _entry_as_object(entry: Entry) -> dict[str, Any]:
    ratio = entry.ratio
    return {
        "campaign": entry.campaign,
        "created_at": entry.created_at,
        **{name: getattr(entry.case, name) for name in _FIGURES},
        "ratio_to_first": ratio and ratio.value,
        "ratio_to_first_low": ratio and ratio.low,
        "ratio_to_first_high": ratio and ratio.high,
        "host_drift": entry.drift,
        "changed": dict(entry.changed),
    }


def as_table(cases: Sequence[Sequence[Entry]]) -> RenderableType:
    """A table per case, a line per campaign."""
    if not cases:
        return Text("No results yet.")
    many_threads = len({entries[0].case.threads for entries in cases if entries[0].case.threads}) > 1
    return Group(*(part for entries in cases for part in (_title(entries[0], many_threads), _table(entries), Text())))


def _title(entry: Entry, many_threads: bool) -> Text:
    words = f"{label(entry.case, many_threads)}: {heading(entry.case)}"
    return Text(units.literal(words), style="bold", overflow="fold")


def _table(entries: Sequence[Entry]) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="underline")
    for name, width in _COLUMNS.items():
        left = name in ("campaign", "remarks")
        table.add_column(name, justify="left" if left else "right", width=width, overflow="fold")
    for entry in entries:
        table.add_row(*(Text(units.literal(cell)) for cell in _cells(entry)))
    return table


def _cells(entry: Entry) -> tuple[str, ...]:
    case, ratio = entry.case, entry.ratio
    interval = units.interval(case.median_ns, case.median_low_ns, case.median_high_ns)
    to_first = f"{units.ratio(ratio.value)} {units.interval(ratio.value, ratio.low, ratio.high)}" if ratio else ""
    marks = [case.status.upper()] if case.status != "ok" else ["unstable"] if case.stable is False else []
    return (
        entry.campaign,
        f"{units.duration(case.median_ns)} {interval}".rstrip(),
        to_first or units.UNKNOWN,
        units.share(case.accuracy),
        units.size(case.artifact_bytes),
        units.size(case.peak_bytes),
        "; ".join((*marks, *(f"{condition}: {words}" for condition, words in entry.changed.items()))),
    )
