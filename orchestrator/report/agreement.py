"""How far two models agree, as a table for people and as objects for programs."""

from dataclasses import asdict
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.report.units import literal, share
from orchestrator.verification import Agreement


def as_object(agreements: list[Agreement], tolerance: float, inputs: str) -> dict[str, Any]:
    """What was asked, and an object per output with its verdict."""
    outputs = [
        {"first": each.first, "second": each.second, "shape": list(each.shape), **asdict(each.found)}
        | {"agrees": agrees(each, tolerance)}
        for each in agreements
    ]
    return {"inputs": inputs, "tolerance": tolerance, "outputs": outputs}


def agrees(agreement: Agreement, tolerance: float) -> bool:
    """No answer is further from the other than the tolerance."""
    return agreement.found.max_abs_error <= tolerance


def as_table(agreements: list[Agreement], tolerance: float, inputs: str) -> RenderableType:
    """A line per output; below, what it rests on."""
    table = Table(box=box.SIMPLE, pad_edge=False)
    for heading in (
        "output",
        "shape",
        "agrees",
        "max error",
        "mean error",
        "relative",
        "cosine",
        "verdict",
    ):
        table.add_column(heading, justify="left" if heading in ("output", "verdict") else "right", overflow="fold")
    for each in agreements:
        table.add_row(*map(Text, _cells(each, tolerance)))
    asked = (
        f"{agreements[0].found.samples} samples, inputs: {literal(inputs)}; tolerance of the max error: {tolerance:g}"
    )
    meant = "agrees: same class. relative: largest error over largest answer, cosine: smallest, of all samples"
    return Group(table, Text(f"{asked}\n{meant}"))


def _cells(each: Agreement, tolerance: float) -> tuple[str, ...]:
    found, names = each.found, dict.fromkeys((each.first, each.second))
    errors = (found.max_abs_error, found.mean_abs_error, found.max_rel_error)
    return (
        literal(" / ".join(names)),
        "x".join(map(str, each.shape)) or "-",
        share(found.label_agreement),
        *(f"{error:.2g}" for error in errors),
        f"{found.min_cosine:.6f}",
        "same" if agrees(each, tolerance) else "DIFFERS",
    )
