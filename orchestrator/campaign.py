"""One execution of a suite: prepare the artifacts, then measure on every host, a row for each thing that ends."""

import contextlib
import platform
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from orchestrator import preparation
from orchestrator.artifacts import Cache
from orchestrator.cases import ArtifactName
from orchestrator.errors import CaseFailure, UsageError
from orchestrator.host import HostRun, Prepared
from orchestrator.inventory import Inventory
from orchestrator.launch import Launcher
from orchestrator.plan import Plan, artifacts_of, make_plan
from orchestrator.progress import Narrator
from orchestrator.recorder import Recorder
from orchestrator.results.schema import ArtifactSection, Campaign, Identity
from orchestrator.results.store import Store, holds_campaign
from orchestrator.runtimes import SOURCE_FORMATS
from orchestrator.suite import ModelEntry, Suite

BUILD_HOST_PACKAGES = (
    "portbench",
    "keras",
    "tensorflow-cpu",
    "torch",
    "onnx",
    "tf2onnx",
    "onnxscript",
    "coremltools",
    "numpy",
)


def default_folder(suite: Suite) -> Path:
    """Where a campaign lands that was given no folder: results/SUITE-TIME, the time in UTC."""
    return Path("results") / f"{suite.name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"


def run(suite: Suite, inventory: Inventory, folder: Path, launcher: Launcher, narrator: Narrator) -> None:
    """Runs the suite on the inventory; its rows land in `folder`, which continues an earlier run of the same.

    Raises:
        UsageError: nothing to measure, or `folder` cannot be written or holds another campaign.
    """
    plan = make_plan(suite, inventory)
    recorder = Recorder(_store(suite, inventory, folder))
    narrator.expect(len(plan.artifacts))
    prepared = _prepare(plan, suite, recorder, narrator)
    runs = [HostRun(host, plan, suite, prepared, recorder, launcher, narrator) for host in inventory.hosts]
    _execute(runs, recorder.store)


def _store(suite: Suite, inventory: Inventory, folder: Path) -> Store:
    """The campaign's folder, new or, when it holds the same suite and inventory, continued."""
    wanted = Campaign(
        name=folder.name,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        suite=suite.model_dump(mode="json"),
        inventory=inventory.model_dump(mode="json"),
        versions=_versions(),
    )
    if not holds_campaign(folder):
        return Store.create(folder, wanted)
    store = Store.open(folder)
    for part in ("suite", "inventory"):
        if getattr(store.campaign, part) != getattr(wanted, part):
            raise UsageError(f"{folder}: holds a campaign of another {part}; give --out a folder of its own")
    return store


def _versions() -> dict[str, str]:
    """Of what makes the artifacts, as far as it is installed."""
    found = {"python": platform.python_version()}
    for package in BUILD_HOST_PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def _prepare(
    plan: Plan, suite: Suite, recorder: Recorder, narrator: Narrator
) -> dict[ArtifactName, Prepared | CaseFailure]:
    """Every artifact of the plan with its inputs and expected answers, or why it could not be made."""
    cache = Cache()
    prepared: dict[ArtifactName, Prepared | CaseFailure] = {}
    for entry in suite.models:
        for name in artifacts_of(entry, suite):
            what = f"{name.model} ({name.source_framework}): {name.format} {name.precision}"
            narrator.begin(what)
            source = prepared.get(_source_of(name))
            prepared[name] = _make(cache, entry, name, source, suite.seed)
            _record(recorder, name, prepared[name])
            narrator.end(what)
    return {name: prepared[name] for name in plan.artifacts}


def _source_of(name: ArtifactName) -> ArtifactName:
    return replace(name, format=SOURCE_FORMATS[name.source_framework], precision="float32")


def _make(
    cache: Cache, entry: ModelEntry, name: ArtifactName, source: Prepared | CaseFailure | None, seed: int
) -> Prepared | CaseFailure:
    """The artifact of that name; its `source` is None when it is the source itself."""
    try:
        if isinstance(source, CaseFailure):
            return source
        if source is not None:
            artifact = preparation.convert(cache, source.artifact, name.source_framework, name.format, name.precision)
            return replace(source, artifact=artifact)
        framework = name.source_framework
        inputs = preparation.prepare_inputs(cache, entry.name, framework, entry.data)
        artifact = preparation.prepare_source(cache, entry.name, framework, entry.data, entry.training, seed)
        answers = preparation.source_answers(cache, artifact, framework, inputs)
        return Prepared(entry, artifact, inputs, next(iter(answers.values())))
    except CaseFailure as failure:
        return failure


def _record(recorder: Recorder, name: ArtifactName, made: Prepared | CaseFailure) -> None:
    if isinstance(made, CaseFailure):
        recorder.fail(Identity(kind="artifact", **asdict(name)), made)
        return
    artifact = made.artifact
    recorder.attempt(
        Identity(kind="artifact", **asdict(name), artifact_sha256=artifact.sha256),
        lambda: {"status": "ok", "artifact": ArtifactSection(details=artifact.details)},
        artifact_bytes=artifact.size_bytes,
        data=made.inputs.name,
        versions=recorder.store.campaign.versions,
    )


def _execute(runs: list[HostRun], store: Store) -> None:
    """Hosts side by side. Whatever ends one run early ends all, so that no runner outlives the campaign."""
    with ThreadPoolExecutor(len(runs)) as pool:
        try:
            for future in as_completed([pool.submit(run.execute) for run in runs]):
                told = store.campaign.runners | future.result()
                store.describe(store.campaign.model_copy(update={"runners": told}))
        except BaseException:
            for run in runs:
                run.stop()
            raise
