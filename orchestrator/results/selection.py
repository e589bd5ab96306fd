"""Which rows of a campaign count: a resumed one may have found another image, another machine, or a runner at last."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from orchestrator.results.schema import Row

Name = tuple[Any, ...]


def artifact_of(row: Row) -> Name:
    """The artifact that a row is about, as the user names it."""
    return (row.model, row.source_framework, row.format, row.precision)


def place_of(row: Row) -> Name:
    """The artifact and where it is executed: what a check is about."""
    return (*artifact_of(row), row.host, row.runner, row.runtime, row.device)


def case_of(row: Row) -> Name:
    """The case that a row is about; on a check row the place, for it holds for every batch size and threads."""
    return (*place_of(row), row.batch_size, row.threads)


def subject_of(row: Row) -> Name:
    """What exactly was executed and where; rows that differ in it are never pooled."""
    return (row.artifact_sha256, row.image_digest, row.software, row.host_fingerprint, row.isolation)


def reference_of(versions: Mapping[str, str]) -> Name:
    """What computed the references, by the versions of a row; times of others cannot be held against these."""
    return (versions.get("python"), versions.get("reference"))


def counting(rows: Iterable[Row]) -> list[Row]:
    """Of each case the rows about the same thing as the case's newest one, in their order.

    Newest is the last whose runner was reached, else the last of all. A row that failed because no runner was reached
    says nothing once there is a row of one that was; it may lack the threads, which only a runner tells.

    Args:
        rows: check or trial rows, oldest first.
    """
    written = list(rows)
    reached = {case for row in written if row.host_fingerprint is not None for case in (case_of(row), _unresolved(row))}
    by_case: dict[Name, list[Row]] = defaultdict(list)
    for row in written:
        if row.host_fingerprint is not None or case_of(row) not in reached:
            by_case[case_of(row)].append(row)
    newest = {case: subject_of(_newest(of_case)) for case, of_case in by_case.items()}
    return [row for case, of_case in by_case.items() for row in of_case if subject_of(row) == newest[case]]


def _unresolved(row: Row) -> Name:
    """The row's case as it is named when the threads are those of the runner and the runner was not reached."""
    return (*place_of(row), row.batch_size, 0)


def _newest(rows: Sequence[Row]) -> Row:
    return next((row for row in reversed(rows) if row.host_fingerprint is not None), rows[-1])
