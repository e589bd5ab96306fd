"""Why two models differ, as a table from inputs to outputs and as an object for programs."""

from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.explanation import Explanation
from orchestrator.explanation.matching import Match
from orchestrator.report.units import literal

_HEADINGS = ("", "operator", "source", "conversion", "shape", "max error", "relative", "known by")
_FIGURES = ("max error", "relative")


def as_object(found: Explanation | None) -> dict[str, Any]:
    """All but the smallest input, which is an array; null where the answers agree."""
    if found is None:
        return {"differs": False}
    return {
        "differs": True,
        "tolerance": found.tolerance,
        "max_abs_error": found.error,
        "sample": found.sample,
        "first": None if found.first is None else _object(found.first),
        "suspects": [{"operator": each.operator, "name": each.name} for each in found.suspects],
        "values": [_object(each) for each in found.matches],
        "unmatched": {"source": found.unmatched[0], "conversion": found.unmatched[1]},
        "smallest_elements": found.elements,
    }


def _object(match: Match) -> dict[str, Any]:
    return {
        "operator": match.source.operator,
        "source": match.source.name,
        "conversion": match.converted.name,
        "conversion_operator": match.converted.operator,
        "shape": list(match.source.array.shape),
        "axes": None if match.axes is None else list(match.axes),
        "by": match.by,
        "max_abs_error": match.max_abs_error,
        "max_rel_error": match.max_rel_error,
    }


def as_table(found: Explanation) -> RenderableType:
    """The values held against each other, the first beyond the tolerance marked; below, what to look at."""
    table = Table(box=box.SIMPLE, pad_edge=False)
    for heading in _HEADINGS:
        table.add_column(heading, justify="right" if heading in _FIGURES else "left", overflow="fold")
    for match in found.matches:
        table.add_row(*map(Text, _cells(match, match is found.first)), style="bold red" if match is found.first else "")
    return Group(table, Text("\n".join(_sentences(found))))


def _cells(match: Match, is_first: bool) -> tuple[str, ...]:
    order = "" if match.axes is None else f" (axes {','.join(map(str, match.axes))})"
    return (
        "first" if is_first else "",
        literal(match.source.operator),
        literal(match.source.name),
        literal(match.converted.name),
        "x".join(map(str, match.source.array.shape)) + order,
        f"{match.max_abs_error:.2g}",
        f"{match.max_rel_error:.2g}",
        match.by,
    )


def _sentences(found: Explanation) -> list[str]:
    lines = [f"Answers differ by {found.error:.3g}, most to input {found.sample}; tolerance {found.tolerance:g}."]
    if found.first is None:
        lines.append("No value that is known in both differs by more: it happens where nothing could be matched.")
    else:
        suspects = ", ".join(f"{each.operator} {each.name!r}" for each in found.suspects)
        lines.append(literal(f"First: {found.first.source.operator} {found.first.source.name!r}. Look at {suspects}."))
    ours, theirs = found.unmatched
    lines.append(f"Values without a counterpart: {ours} of the source, {theirs} of the conversion.")
    total = sum(array.size for array in found.smallest.values())
    lines.append(f"Smallest input found that shows it: {found.elements} of {total} elements are not 0.")
    return lines
