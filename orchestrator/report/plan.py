"""A plan as a table for people and as objects for programs."""

from dataclasses import asdict
from typing import Any

from rich.table import Table

from orchestrator.cases import Case
from orchestrator.plan import Plan
from orchestrator.suite import Suite

_MOST_ROWS = 500
"""A person reads no more, and laying out 20,000 takes half a minute."""


def as_objects(plan: Plan, suite: Suite) -> list[dict[str, Any]]:
    """One object per case, with the number of its trials; `threads` is null where the runner's processors decide."""
    return [_object(case, suite) for case in plan.cases]


def _object(case: Case, suite: Suite) -> dict[str, Any]:
    fields = asdict(case)
    return {**fields.pop("artifact"), **fields, "threads": case.threads or None, **suite.trials.model_dump()}


def as_table(plan: Plan, suite: Suite) -> Table:
    """One line per case, of very many the first ones; below, what else the campaign does."""
    trials = suite.trials
    left_out = max(0, len(plan.cases) - _MOST_ROWS)
    more = f"\nand {left_out} cases more: --json shows all" if left_out else ""
    count = len(plan.cases) * (trials.timing + trials.memory)
    table = Table(
        title=f"Plan of suite '{suite.name}'",
        caption=f"{len(plan.artifacts)} artifacts, {len(plan.checks)} checks of answers, {len(plan.replays)} attacks, "
        f"{len(plan.cases)} cases, "
        f"{count} trials: {trials.timing} for time and {trials.memory} for memory each{more}",
    )
    for heading in ("model", "source", "format", "precision", "host", "runner", "device", "batch", "threads"):
        table.add_column(heading, justify="right" if heading in ("batch", "threads") else "left")
    for case in plan.cases[:_MOST_ROWS]:
        name = case.artifact
        cells = (name.model, name.source_framework, name.format, name.precision, case.host, case.runner, case.device)
        table.add_row(*cells, str(case.batch_size), str(case.threads or "auto"))
    return table
