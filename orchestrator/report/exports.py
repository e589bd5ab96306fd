"""The summaries as tables for other programs: Parquet with everything, CSV without what a case has several of."""

from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_type_hints

import pyarrow
from pyarrow import csv, parquet

from orchestrator.results.attacks import AttackSummary
from orchestrator.results.summary import CaseSummary

_TYPES: dict[Any, pyarrow.DataType] = {int: pyarrow.int64(), float: pyarrow.float64(), bool: pyarrow.bool_()}


def write_parquet(cases: Sequence[CaseSummary], path: Path) -> Path:
    """One row per case, a column per field of `CaseSummary`; `attacks` is a list of structures. Returns the path."""
    parquet.write_table(_table(cases), path)
    return path


def write_csv(cases: Sequence[CaseSummary], path: Path) -> Path:
    """The same with empty cells for what is null, and without `attacks`."""
    csv.write_csv(_table(cases).drop_columns(["attacks"]), path)
    return path


def _table(cases: Sequence[CaseSummary]) -> pyarrow.Table:
    """Types come from the fields, not from the values: a column of nulls has the type that it always has."""
    return pyarrow.Table.from_pylist([asdict(case) for case in cases], schema=pyarrow.schema(_columns(CaseSummary)))


def _columns(kind: type[CaseSummary] | type[AttackSummary]) -> list[tuple[str, pyarrow.DataType]]:
    hints = get_type_hints(kind)
    return [(field.name, _type(hints[field.name])) for field in fields(kind)]


def _type(hint: Any) -> pyarrow.DataType:
    """Of a field's values; text where it is neither number nor list."""
    parts = set(get_args(hint)) - {NoneType}
    if AttackSummary in parts:
        return pyarrow.list_(pyarrow.struct(_columns(AttackSummary)))
    plain = parts.pop() if len(parts) == 1 else hint
    return _TYPES.get(plain, pyarrow.string())
