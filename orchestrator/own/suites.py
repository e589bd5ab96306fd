"""The models of a suite that are the user's own: looked at before anything is planned."""

import platform
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from orchestrator import own
from orchestrator.artifacts import Artifact, Cache
from orchestrator.configuration import validate
from orchestrator.conversion import CONVERSIONS
from orchestrator.errors import CaseFailure, UsageError
from orchestrator.inventory import Inventory, load_inventory
from orchestrator.own import Own
from orchestrator.own.inputs import Given
from orchestrator.runtimes import FORMATS, RUNNERS, RUNTIMES, RunnerKind
from orchestrator.suite import OwnEntry, Suite
from orchestrator.workplace import BUILD_HOST

BATCH_SIZES = ("1", "8", "32")

Brought = Mapping[str, Own | CaseFailure]
"""By name in the suite."""


@dataclass(frozen=True)
class OwnSource:
    """An own model as it came, what it is asked with, and its own answers: per output an array, samples first."""

    artifact: Artifact
    inputs: Given
    outputs: tuple[NDArray[Any], ...]


@dataclass(frozen=True)
class Asked:
    """What the user wants to know of one model, as it was typed; what is empty is everything that fits."""

    model: str
    runtimes: list[str]
    device: str
    batch_sizes: list[str]
    inputs: Path | None
    axes: list[str]
    precisions: list[str]
    runners: Path | None


def for_one(asked: Asked, cache: Cache) -> tuple[Suite, Brought, Inventory]:
    """The suite of one model, and the inventory: the user's, or of this machine the runners of that device that fit.

    Raises:
        UsageError: there is no such model, runtime, device or precision, or nothing executes it.
    """
    reference = own.parse(asked.model)
    found = _bring_now(reference, cache)
    formats = list(dict.fromkeys((found.artifact.format, *_conversions(found))))
    kinds = _kinds(asked, formats)
    inventory = load_inventory(asked.runners, ()) if asked.runners else _here(kinds)
    source = {"path": str(reference.path.resolve())} if reference.path else {"factory": reference.function}
    given = {"inputs": str(asked.inputs.resolve())} if asked.inputs else {}
    entry = source | given | {"axes": dict(map(_axis, asked.axes))}
    sizes = asked.batch_sizes or ([str(found.fixed_batch)] if found.fixed_batch else BATCH_SIZES)
    description: dict[str, object] = {
        "name": found.name,
        "models": [entry],
        "formats": [format_ for format_ in formats if format_ in FORMATS],
        "precisions": asked.precisions,
        "runtimes": list(dict.fromkeys(kind.runtime for kind in kinds)),
        "batch_sizes": sizes,
        "trials": {"timing": 3, "memory": 1},
    }
    suite = validate(asked.model, description, Suite)
    return _completed(suite, {found.name: found}), {found.name: found}, inventory


def _axis(text: str) -> tuple[str, str]:
    name, equals, size = text.rpartition("=")
    if not equals:
        raise UsageError(f"--axis {text}: give NAME=SIZE")
    return name, size


def _conversions(found: Own) -> list[str]:
    return [name for name, conversion in CONVERSIONS.items() if found.source_framework in conversion.distributions]


def _kinds(asked: Asked, formats: list[str]) -> list[RunnerKind]:
    """The runners that execute one of the formats, and are what was asked for."""
    for name in asked.runtimes:
        if name not in RUNTIMES:
            raise UsageError(f"--runtime {name}: unknown runtime; choose from {', '.join(RUNTIMES)}")
    able = [kind for kind in RUNNERS.values() if kind.answers and set(kind.formats) & set(formats)]
    kinds = [kind for kind in able if _wanted(kind, asked)]
    if not kinds:
        there = ", ".join(f"{kind.runtime} ({', '.join(kind.devices)})" for kind in able)
        message = f"nothing that was asked for executes {', '.join(formats)}"
        raise UsageError(f"{asked.model}: {message}; choose --runtime and --device from {there}")
    return kinds


def _wanted(kind: RunnerKind, asked: Asked) -> bool:
    there = asked.runners is not None or kind.system in (None, platform.system())
    return there and asked.device in kind.devices and (not asked.runtimes or kind.runtime in asked.runtimes)


def _here(kinds: list[RunnerKind]) -> Inventory:
    return Inventory.model_validate({"hosts": [{"name": "local", "runners": [kind.name for kind in kinds]}]})


def _bring_now(reference: own.Reference, cache: Cache) -> Own:
    try:
        return own.bring(cache, reference)
    except CaseFailure as failure:
        raise UsageError(failure.message) from None


def look_at(suite: Suite, cache: Cache) -> tuple[Suite, Brought]:
    """Brings the suite's own models, and completes their entries by what they turn out to be; functions are called.

    Raises:
        UsageError: there is no such file.
    """
    entries = [entry for entry in suite.models if isinstance(entry, OwnEntry)]
    with ThreadPoolExecutor(BUILD_HOST.room) as executor:  # each is brought by a process of its own
        found = executor.map(partial(_bring, cache), entries)
        brought = {entry.name: each for entry, each in zip(entries, found, strict=True)}
    return _completed(suite, brought), brought


def _bring(cache: Cache, entry: OwnEntry) -> Own | CaseFailure:
    try:
        return own.bring(cache, own.parse(entry.path or entry.factory or ""))
    except CaseFailure as failure:
        return failure


def _completed(suite: Suite, brought: Brought) -> Suite:
    entries = (_known(entry, brought[entry.name]) if isinstance(entry, OwnEntry) else entry for entry in suite.models)
    return suite.model_copy(update={"models": tuple(entries)})


def _known(entry: OwnEntry, found: Own | CaseFailure) -> OwnEntry:
    if isinstance(found, CaseFailure):
        return entry
    known = {"source_framework": found.source_framework, "precision": found.artifact.precision}
    return entry.model_copy(update=known)
