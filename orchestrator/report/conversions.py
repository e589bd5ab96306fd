"""Conversions of an own model, as a table for people and as objects for programs."""

from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.artifacts import Artifact
from orchestrator.errors import CaseFailure
from orchestrator.own.conversions import Conversion
from orchestrator.report.units import duration, literal, size


def as_objects(conversions: list[Conversion]) -> list[dict[str, Any]]:
    """One object per conversion: its file and facts, or stage, symptom and message."""
    return [_object(each) for each in conversions]


def _object(conversion: Conversion) -> dict[str, Any]:
    asked = {"format": conversion.format, "precision": conversion.precision}
    made = conversion.result
    if isinstance(made, CaseFailure):
        return asked | {"status": "failed", "stage": made.stage, "symptom": made.symptom, "message": made.message}
    told = {"file": str(conversion.file), "sha256": made.sha256, "size_bytes": made.size_bytes}
    return asked | {"status": "ok"} | told | {"details": made.details}


def as_table(conversions: list[Conversion]) -> RenderableType:
    """A line per file; below, what could not be converted."""
    table = Table(box=box.SIMPLE, pad_edge=False)
    for heading in ("file", "format", "precision", "size", "operators", "converted in"):
        left = heading in ("file", "format", "precision")
        table.add_column(heading, justify="left" if left else "right", overflow="fold")
    failed = []
    for each in conversions:
        if isinstance(each.result, CaseFailure):
            failure = each.result
            words = f"{each.format} {each.precision}: {failure.stage} {failure.symptom}: {failure.message}"
            failed.append(Text(f"✗ {literal(words)}"))
        else:
            table.add_row(*map(Text, _cells(each, each.result)))
    return Group(*([table] if table.row_count else []), *failed)


def _cells(conversion: Conversion, made: Artifact) -> tuple[str, ...]:
    facts: dict[str, Any] = made.details
    named = (literal(str(conversion.file)), conversion.format, conversion.precision)
    return (*named, size(made.size_bytes), str(facts.get("operator_count", "-")), duration(facts.get("conversion_ns")))
