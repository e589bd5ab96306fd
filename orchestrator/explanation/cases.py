"""A conversion of a campaign, with its source and what both were asked, from the cache."""

import difflib
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator import own
from orchestrator.artifacts import Cache
from orchestrator.errors import CaseFailure, UsageError
from orchestrator.own import Own
from orchestrator.own.inputs import Given
from orchestrator.results import making
from orchestrator.results.schema import Row
from orchestrator.results.selection import artifact_of
from orchestrator.results.store import Store
from orchestrator.suite import DEFAULT_TOLERANCE


@dataclass(frozen=True)
class Found:
    """What there is to explain."""

    source: Own
    converted: Own
    given: Given
    tolerance: float


def find(cache: Cache, folder: Path, case: str) -> Found:
    """The conversion that `case` names as "model/source framework/format/precision", of the campaign in `folder`.

    Raises:
        UsageError: the campaign has no such conversion, or the cache has it, its source or its inputs no more.
    """
    rows = list(Store.open(folder).rows())
    artifacts = {"/".join(map(str, artifact_of(row))): row for row in rows if row.kind == "artifact"}
    row = artifacts.get(case)
    if row is None:
        near = difflib.get_close_matches(case, artifacts, n=5, cutoff=0) or ["none"]
        raise UsageError(f"{case}: no artifact of {folder}; there are {', '.join(near)}")
    if row.status == "failed":
        raise UsageError(f"{case}: it was not made: {row.message}")
    source = next((other for other in artifacts.values() if _is_source_of(other, row)), None)
    if source is None:
        raise UsageError(f"{case}: it is a source itself; name one of its conversions")
    checks = [each.check for each in rows if each.check and each.artifact_sha256 == row.artifact_sha256]
    tolerance = checks[-1].tolerance if checks else DEFAULT_TOLERANCE[row.precision]
    inputs = _cached(cache, case, row.inputs_sha256)
    given = Given(row.data or "", inputs, row.inputs_sha256 or "", None, {})
    return Found(_brought(cache, case, source), _brought(cache, case, row), given, tolerance)


def _is_source_of(other: Row, row: Row) -> bool:
    alike = (other.model, other.source_framework) == (row.model, row.source_framework)
    return alike and other is not row and other.status == "ok" and not making.of_conversion(other)


def _brought(cache: Cache, case: str, row: Row) -> Own:
    path = _cached(cache, case, row.artifact_sha256)
    try:
        brought = own.bring(cache, own.parse(str(path)))
    except CaseFailure as failure:
        raise UsageError(failure.message) from None
    return replace(brought, name="/".join(map(str, artifact_of(row))))


def _cached(cache: Cache, case: str, sha256: str | None) -> Path:
    path = cache.path(sha256 or "none")
    if not path.is_file():
        raise UsageError(f"{case}: {path} is not in the cache any more; measure it again with another --out")
    return path
