"""Cases of two campaigns beside each other, and in what they were measured differently. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.results.selection import Name
from orchestrator.results.summary import CaseSummary, Measured

CASE = (
    "model",
    "source_framework",
    "format",
    "precision",
    "host",
    "runner",
    "runtime",
    "device",
    "batch_size",
    "threads",
)
"""Fields of a CaseSummary that name its case."""

# Names of hosts and runners are the user's to change, and `auto` threads are the machine's.
_RELAXED: tuple[tuple[str, ...], ...] = ((), ("host", "runner"), ("threads",), ("host", "runner", "threads"))


class Condition(StrEnum):
    """What two measurements must share, or be meant to differ in, for a difference between them to say something."""

    HOST = "host"
    IMAGE = "image"
    ISOLATION = "isolation"
    THREADS = "threads"
    ARTIFACT = "artifact"


@dataclass(frozen=True)
class Pair:
    """One case in two campaigns, None where a campaign lacks it; `named` as the base names it, if it has it."""

    named: CaseSummary
    base: Measured | None
    other: Measured | None


def pairs(base: Sequence[Measured], other: Sequence[Measured]) -> list[Pair]:
    """Every case of both, in the order of the base, those that it lacks last.

    Cases are paired by their full name; of the rest, those that are alike but for the names of host and runner, the
    threads, or both, and are the only ones on either side that are.
    """
    partners: dict[int, Measured] = {}
    rest, unpaired = list(base), list(other)
    for without in _RELAXED:
        theirs = _unique(unpaired, without)
        met = {id(case): theirs[name] for name, case in _unique(rest, without).items() if name in theirs}
        partners |= met
        taken = {id(case) for case in met.values()}
        rest = [case for case in rest if id(case) not in met]
        unpaired = [case for case in unpaired if id(case) not in taken]
    found = [Pair(case.summary, case, partners.get(id(case))) for case in base]
    return found + [Pair(case.summary, None, case) for case in unpaired]


def name_of(summary: CaseSummary, without: Sequence[str] = ()) -> Name:
    """The case by its fields, but for those left out."""
    return tuple(getattr(summary, field) for field in CASE if field not in without)


def changes(base: Measured, other: Measured) -> dict[Condition, str]:
    """The conditions that are not the same, in words; one that a side never came to know is none of them."""
    found = {
        Condition.HOST: _other_host(base.summary, other.summary),
        Condition.IMAGE: _other_image(base, other),
        Condition.ISOLATION: _changed(base.summary.isolation, other.summary.isolation),
        Condition.THREADS: _changed(base.summary.threads, other.summary.threads),
        Condition.ARTIFACT: _changed(base.summary.artifact_sha256, other.summary.artifact_sha256),
    }
    return {condition: words for condition, words in found.items() if words}


def _unique(cases: Sequence[Measured], without: Sequence[str]) -> dict[Name, Measured]:
    names = [name_of(case.summary, without) for case in cases]
    counts = Counter(names)
    return {name: case for name, case in zip(names, cases, strict=True) if counts[name] == 1}


def _other_host(base: CaseSummary, other: CaseSummary) -> str | None:
    ours, theirs = base.host_fingerprint, other.host_fingerprint
    if not ours or not theirs or ours == theirs:
        return None
    return f"{base.host} {_short(ours)} -> {other.host} {_short(theirs)}"


def _other_image(base: Measured, other: Measured) -> str | None:
    """By the digests; where a side has none, as plain processes have, by the versions of what executed."""
    ours, theirs = base.summary.image_digest, other.summary.image_digest
    versions = ", ".join(_other_versions(base.versions, other.versions))
    if not ours or not theirs:
        return versions or None
    if ours == theirs:
        return None
    return ", ".join(filter(None, (_changed(ours, theirs), versions)))


def _other_versions(base: Mapping[str, str], other: Mapping[str, str]) -> Iterator[str]:
    """Nothing where a side failed before it told them."""
    if base and other:
        for name in dict.fromkeys((*base, *other)):
            if base.get(name) != other.get(name):
                yield f"{name} {base.get(name, 'none')} -> {other.get(name, 'none')}"


def _changed(base: str | int | None, other: str | int | None) -> str | None:
    return f"{_short(base)} -> {_short(other)}" if base and other and base != other else None


def _short(value: str | int) -> str:
    """Of a hash, enough to tell it from others."""
    return str(value).removeprefix("sha256:")[:8]
