"""One execution of a suite: prepare the artifacts, then measure on every host, a row for each thing that ends."""

import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
from pydantic import ValidationError

from orchestrator import fidelity, isolated, preparation, verification
from orchestrator.artifacts import JSON, Cache
from orchestrator.cases import ArtifactName, Attack
from orchestrator.configuration import Configuration
from orchestrator.conversion import CONVERSIONS
from orchestrator.errors import CaseFailure, UsageError
from orchestrator.host import HostRun, Prepared
from orchestrator.inventory import Inventory
from orchestrator.launch import Launcher
from orchestrator.own import Own
from orchestrator.own import inputs as own_inputs
from orchestrator.own.suites import Brought, OwnSource
from orchestrator.plan import Plan, artifacts_of
from orchestrator.preparation import Origin
from orchestrator.progress import Narrator
from orchestrator.recorder import Recorder
from orchestrator.results.schema import ArtifactSection, Campaign, Identity
from orchestrator.results.store import Store, holds_campaign
from orchestrator.robustness.crafted import Attacked, Source
from orchestrator.suite import ModelEntry, OwnEntry, Suite
from orchestrator.workplace import BUILD_HOST, Workplace, versions

ConfigurationT = TypeVar("ConfigurationT", bound=Configuration)


def default_folder(suite: Suite) -> Path:
    """Where a campaign lands that was given no folder: results/SUITE-TIME, the time in UTC."""
    return Path("results") / f"{suite.name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"


def run(
    plan: Plan,
    suite: Suite,
    inventory: Inventory,
    store: Store,
    launcher: Launcher,
    narrator: Narrator,
    data_dir: Path | None = None,
    place: Workplace = BUILD_HOST,
    brought: Brought = MappingProxyType({}),
) -> None:
    """Does what the plan of `suite` on `inventory` says, but for what `store` has already; a row for all that ends.

    Files of data sets are looked for in `data_dir`, too. Artifacts are made at `place`, which is closed before anything
    is measured. `brought` are the suite's own models.
    """
    recorder = Recorder(store)
    narrator.expect(len(plan.artifacts) + _crafted(plan))
    with closing(place):
        bench = _Bench(Cache(), suite, recorder, narrator, place)
        prepared = _prepare(plan, bench, data_dir, brought)
    turns: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
    runs = [HostRun(host, plan, suite, prepared, recorder, launcher, narrator, turns) for host in inventory.hosts]
    _execute(runs)


def _crafted(plan: Plan) -> int:
    """How many attacks are made on source models; each is replayed in many places."""
    names = [(replay.place.artifact, replay.attack) for replay in plan.replays]
    return len({(name.model, name.source_framework, attack) for name, attack in names if attack.against == "source"})


def open_folder(suite: Suite, inventory: Inventory, folder: Path) -> Store:
    """The campaign's folder, new or, when it holds the same suite and inventory, to be continued.

    Raises:
        UsageError: it cannot be written or holds another campaign.
    """
    wanted = Campaign(
        name=folder.name,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        suite=suite.model_dump(mode="json"),
        inventory=inventory.model_dump(mode="json"),
        versions=versions(),
    )
    if not holds_campaign(folder):
        return Store.create(folder, wanted)
    store = Store.open(folder)
    for part in ("suite", "inventory"):
        if getattr(store.campaign, part) != getattr(wanted, part):
            raise UsageError(f"{folder}: holds a campaign of another {part}; give --out a folder of its own")
    return store


def resume(folder: Path) -> tuple[Suite, Inventory]:
    """What the campaign in `folder` was to do, and where.

    Raises:
        UsageError: there is none, or one whose suite or inventory this portbench does not know.
    """
    begun = Store.open(folder).campaign
    return _again(folder, "suite", Suite, begun.suite), _again(folder, "inventory", Inventory, begun.inventory)


def _again(folder: Path, part: str, kind: type[ConfigurationT], written: Mapping[str, Any]) -> ConfigurationT:
    try:
        return kind.model_validate(written)
    except ValidationError as error:
        mistake = error.errors(include_url=False)[0]
        where = ".".join(map(str, (part, *mistake["loc"])))
        raise UsageError(
            f"{folder}: {where}: {' '.join(mistake['msg'].split())}; go on with the portbench that began this campaign"
        ) from None


def started_by(store: Store) -> str | None:
    """The launcher of the campaign's runners so far; another one's rows are about something else."""
    told = {runner.get("isolation") for runner in store.campaign.runners.values()}
    return next((name for name in ("docker", "process") if name in told), None)


@dataclass(frozen=True)
class _Bench:
    """What all workshops share."""

    cache: Cache
    suite: Suite
    recorder: Recorder
    narrator: Narrator
    place: Workplace


def _prepare(
    plan: Plan, bench: _Bench, data_dir: Path | None, brought: Brought
) -> dict[ArtifactName, Prepared | CaseFailure]:
    """Every artifact of the plan with its inputs and expected answers, or why it could not be made.

    Each piece of work is a process with a single thread, hence as many networks at once as there is room at the place.
    """
    workshops = [
        _Workshop(bench, entry, framework, _sourcing(bench, entry, framework, data_dir, brought))
        for entry in bench.suite.models
        for framework in entry.source_frameworks
    ]
    place = bench.place
    with ThreadPoolExecutor(min(len(workshops), place.room)) as executor:
        try:
            made = executor.map(_Workshop.make, workshops)
            prepared = {name: result for part in made for name, result in part.items()}
        except BaseException:
            place.stop()
            raise
    return {name: prepared[name] for name in plan.artifacts}


def _sourcing(
    bench: _Bench, entry: ModelEntry | OwnEntry, framework: str, data_dir: Path | None, brought: Brought
) -> "Sourcing":
    """How the source model of an entry is had."""
    if isinstance(entry, OwnEntry):
        return partial(_brought, bench, entry, brought[entry.name])
    return partial(_trained, bench, entry, Origin(entry.name, framework, entry.data, data_dir))


Sourcing = Callable[[Callable[[str], None]], Prepared]
"""Gives the source model; tells meanwhile how it goes. Raises CaseFailure."""


def _trained(bench: _Bench, entry: ModelEntry, origin: Origin, tell: Callable[[str], None]) -> Prepared:
    """The trained network, with its own answers, which are expected of its conversions."""
    cache, place = bench.cache, bench.place
    inputs = preparation.prepare_inputs(cache, origin, entry.test_samples)
    artifact = preparation.prepare_source(cache, origin, entry.training, bench.suite.seed, tell, place)
    answers = preparation.source_answers(cache, artifact, origin.source_framework, inputs, place)
    expected = next(iter(answers.values()))
    reached: dict[str, JSON] = {
        "test_samples": len(expected),
        "test_accuracy": float((fidelity.classes(expected) == inputs.labels).mean()),
        "majority_share": float(np.bincount(inputs.labels).max() / len(inputs.labels)),
    }
    source = Source(cache, origin, artifact, inputs, expected)
    return Prepared(entry, replace(artifact, details=artifact.details | reached), source, {})


def _brought(bench: _Bench, entry: OwnEntry, found: Own | CaseFailure, tell: Callable[[str], None]) -> Prepared:
    """The user's model, with its own answers."""
    if isinstance(found, CaseFailure):
        raise found
    tell("its own answers")
    archive = Path(entry.inputs) if entry.inputs else None
    given = own_inputs.prepare(bench.cache, found, archive, entry.samples, bench.suite.seed, entry.axes)
    outputs = tuple(verification.answers_of(bench.cache, found, given).values())
    return Prepared(entry, found.artifact, OwnSource(found.artifact, given, outputs), {}, found.fixed_batch)


@dataclass(frozen=True)
class _Workshop:
    """Makes the artifacts of one network in one source framework."""

    bench: _Bench
    entry: ModelEntry | OwnEntry
    source_framework: str
    sourcing: Sourcing

    def make(self) -> dict[ArtifactName, Prepared | CaseFailure]:
        """The source, then its conversions; each ends as a row."""
        source, *conversions = artifacts_of(self.entry, self.source_framework, self.bench.suite)
        made = {source: self._step(source, self._source)}
        for name in conversions:
            made[name] = self._step(name, partial(self._convert, made[source], name))
        had = made[source]
        if isinstance(had, CaseFailure) or not isinstance(had.source, Source):
            return made
        attacked = {attack: self._craft(had.source, attack) for attack in self._crafted}
        return {
            name: result if isinstance(result, CaseFailure) else replace(result, attacked=attacked)
            for name, result in made.items()
        }

    @property
    def _crafted(self) -> list[Attack]:
        """The attacks that need the source model, which is here."""
        return [attack for attack in self.bench.suite.attacks_on(self.entry) if attack.against == "source"]

    def _craft(self, source: Source, attack: Attack) -> Attacked | CaseFailure:
        what = f"{self.entry.name} ({self.source_framework}): {attack.label}"
        self.bench.narrator.begin(what)
        try:
            return source.craft(
                attack,
                self.bench.suite.seed,
                self.bench.suite.attack_timeout_s,
                lambda told: self.bench.narrator.begin(f"{what}, {told}"),
                self.bench.place,
            )
        except CaseFailure as failure:
            return failure
        finally:
            self.bench.narrator.end(what)

    def _step(self, name: ArtifactName, work: Callable[[], Prepared]) -> Prepared | CaseFailure:
        what = f"{name.model} ({name.source_framework}): {name.format} {name.precision}"
        self.bench.narrator.begin(what)
        try:
            result: Prepared | CaseFailure = work()
        except CaseFailure as failure:
            result = failure
        _record(self.bench.recorder, name, result)
        self.bench.narrator.end(what)
        return result

    def _source(self) -> Prepared:
        what = f"{self.entry.name} ({self.source_framework}): source"
        return self.sourcing(lambda told: self.bench.narrator.begin(f"{what}, {told}"))

    def _convert(self, trained: Prepared | CaseFailure, name: ArtifactName) -> Prepared:
        if isinstance(trained, CaseFailure):
            raise trained
        source = trained.source
        calibration = self._calibration(source) if name.precision in CONVERSIONS[name.format].calibrated else None
        how = (name.source_framework, name.format, name.precision, self.bench.place, calibration)
        return replace(trained, artifact=preparation.convert(self.bench.cache, source.artifact, *how))

    def _calibration(self, source: Source | OwnSource) -> preparation.Calibration:
        """What of own models nobody tells apart from what they are asked with."""
        if isinstance(source, OwnSource):
            return source.inputs
        return preparation.prepare_calibration(self.bench.cache, source.origin)


def _record(recorder: Recorder, name: ArtifactName, made: Prepared | CaseFailure) -> None:
    if isinstance(made, CaseFailure):
        recorder.fail(Identity(kind="artifact", **asdict(name)), made)
        return
    artifact = made.artifact
    recorder.attempt(
        Identity(kind="artifact", **asdict(name), artifact_sha256=artifact.sha256),
        lambda: {"status": "ok", "artifact": ArtifactSection(details=artifact.details)},
        artifact_bytes=artifact.size_bytes,
        data=made.source.inputs.name,
        inputs_sha256=made.source.inputs.sha256,
        versions=recorder.store.campaign.versions,
    )


def _execute(runs: list[HostRun]) -> None:
    """Hosts side by side. Whatever ends one run early ends all, so that no runner outlives the campaign."""
    with ThreadPoolExecutor(len(runs)) as pool:
        try:
            for future in as_completed([pool.submit(run.execute) for run in runs]):
                future.result()
        except BaseException:
            for run in runs:
                run.stop()
            isolated.stop()
            raise
