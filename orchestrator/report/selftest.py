"""The self-test as a table for people and as an object for programs."""

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.report import units
from orchestrator.selftest.check import KINDS, Check, Unit


def as_object(checks: Sequence[Check]) -> dict[str, Any]:
    """`bound` is the highest value that is right, or the lowest and the highest, or null for a value to know only."""
    return {
        "checks": [
            {
                "name": check.name,
                "value": check.value,
                "bound": list(check.bound) if isinstance(check.bound, tuple) else check.bound,
                "ok": check.ok,
                "unit": KINDS[check.name].unit,
                "meaning": KINDS[check.name].meaning,
                "message": check.message,
                "details": check.details,
            }
            for check in checks
        ]
    }


def as_table(checks: Sequence[Check]) -> RenderableType:
    """One row per check; below, for each that failed, what is wrong and what to do."""
    table = Table(box=box.SIMPLE, pad_edge=False, collapse_padding=True)
    table.add_column("check", no_wrap=True)
    table.add_column("figure", justify="right", no_wrap=True)
    table.add_column("bound", justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("meaning")
    for check in checks:
        kind = KINDS[check.name]
        verdict = Text("ok", "green") if check.ok else Text("FAILED", "bold red")
        table.add_row(check.name, _figure(check.value, kind.unit), _bound(check), verdict, kind.meaning)
    failed = [Text(f"FAILED {check.name}: {_complaint(check)}") for check in checks if not check.ok]
    return Group(table, *failed)


def _bound(check: Check) -> str:
    unit = KINDS[check.name].unit
    if not isinstance(check.bound, tuple):
        return "" if check.bound is None else f"≤ {_figure(check.bound, unit)}"
    low, high = check.bound
    return f"≥ {_figure(low, unit)}" if unit == "share" else f"{_figure(low, unit)} to {_figure(high, unit)}"


def _figure(value: float | None, unit: Unit) -> str:
    if value is None:
        return units.UNKNOWN
    return {"ns": units.duration, "share": units.share, "ratio": "{:.3f}".format}[unit](value)


def _complaint(check: Check) -> str:
    return f"{check.message or 'beyond its bound'}; {KINDS[check.name].remedy}"
