"""What the doctor found, as a row for people and as an object for programs."""

from collections.abc import Sequence
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.doctor.finding import Finding, Status
from orchestrator.report.units import literal

_STYLES = {Status.OK: "green", Status.WARNING: "yellow", Status.PROBLEM: "bold red", Status.NOT_HERE: "dim"}
_NAME_WIDTH = 17


def as_object(findings: Sequence[tuple[str, Finding]]) -> dict[str, Any]:
    """`ok` unless there is a problem; `remedy` is null where there is nothing to do."""
    return {
        "ok": all(finding.status is not Status.PROBLEM for _, finding in findings),
        "checks": [
            {
                "name": name,
                "status": finding.status.value,
                "found": finding.found,
                "remedy": finding.remedy or None,
            }
            for name, finding in findings
        ],
    }


def as_row(name: str, finding: Finding) -> RenderableType:
    """One check, its remedy below what was found."""
    row = Table.grid(padding=(0, 2))
    row.add_column(width=max(map(len, Status)), no_wrap=True)
    row.add_column(width=_NAME_WIDTH, overflow="fold")
    row.add_column()
    told = Text(literal(finding.found))
    if finding.remedy:
        told.append(f"\n→ {literal(finding.remedy)}")
    row.add_row(Text(finding.status.value, _STYLES[finding.status]), Text(literal(name)), told)
    return row
