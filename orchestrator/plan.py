"""Suite x inventory -> cases and the order of their trials. Pure: nothing is read, started or asked."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace

from orchestrator.cases import ArtifactName, Attack, Case, Trial, TrialKind
from orchestrator.conversion import planned
from orchestrator.errors import UsageError
from orchestrator.inventory import Inventory, RunnerEntry
from orchestrator.runtimes import source_format
from orchestrator.suite import ModelEntry, OwnEntry, Suite


@dataclass(frozen=True)
class Check:
    """An artifact whose answers one runner is asked for."""

    artifact: ArtifactName
    host: str
    runner: str
    device: str


@dataclass(frozen=True)
class Replay:
    """An attack to whose inputs one runner is asked for an artifact's answers."""

    place: Check
    attack: Attack


@dataclass(frozen=True)
class Plan:
    """What a campaign will do: artifacts in the order of their making, then checks, attacks and trials of each host."""

    artifacts: tuple[ArtifactName, ...]
    checks: tuple[Check, ...]
    replays: tuple[Replay, ...]
    cases: tuple[Case, ...]


def make_plan(suite: Suite, inventory: Inventory) -> Plan:
    """Every artifact of the suite, every case that some runner of the inventory can execute.

    Raises:
        UsageError: no runner of the inventory executes anything of the suite.
    """
    artifacts = tuple(
        name
        for model in suite.models
        for source_framework in model.source_frameworks
        for name in artifacts_of(model, source_framework, suite)
    )
    places = [(host.name, entry) for host in inventory.hosts for entry in host.entries()]
    places = [(host, entry) for host, entry in places if entry.kind.runtime in suite.runtimes]
    cases = tuple(
        case for artifact in artifacts for host, entry in places for case in _cases(artifact, host, entry, suite)
    )
    checks = tuple(
        Check(artifact, host, entry.name, device)
        for artifact in artifacts
        for host, entry in places
        if artifact.format in entry.kind.formats and entry.kind.answers
        for device in entry.kind.devices
    )
    attacks = {model.name: suite.attacks_on(model) for model in suite.models}
    replays = tuple(Replay(check, attack) for check in checks for attack in attacks[check.artifact.model])
    if not checks and not cases:
        raise UsageError(
            f"no runner of the inventory executes a format of suite '{suite.name}': it wants the runtimes "
            f"{', '.join(suite.runtimes)} and the formats {', '.join(suite.formats)}"
        )
    return Plan(artifacts, checks, replays, cases)


def artifacts_of(model: ModelEntry | OwnEntry, source_framework: str, suite: Suite) -> list[ArtifactName]:
    """The source artifact, which everything else is compared with, then its conversions."""
    source = ArtifactName(model.name, source_framework, source_format(source_framework), model.precision)
    return [source] + [
        replace(source, format=format_, precision=precision)
        for format_ in suite.formats
        for precision in suite.precisions_of.get(format_, suite.precisions)
        if planned(source_framework, format_, precision, model.precision)
    ]


def _cases(artifact: ArtifactName, host: str, entry: RunnerEntry, suite: Suite) -> list[Case]:
    kind = entry.kind
    is_source = artifact.format == source_format(artifact.source_framework)
    wanted = artifact.format in kind.formats and (not is_source or artifact.format in suite.formats)
    if not wanted or not kind.measures:
        return []
    return [
        Case(artifact, host, kind.name, kind.runtime, device, batch_size, 0 if threads == "auto" else int(threads))
        for device in kind.devices
        for batch_size in suite.batch_sizes
        for threads in suite.threads
    ]


def resolve_threads(cases: tuple[Case, ...], available_cpus: Mapping[tuple[str, str], int]) -> tuple[Case, ...]:
    """Puts the processors that a runner, named by (host, runner), may use in place of `auto`; repetitions fall away."""
    resolved = [
        replace(case, threads=case.threads or available_cpus.get((case.host, case.runner), 0)) for case in cases
    ]
    return tuple(dict.fromkeys(resolved))


def order_trials(cases: tuple[Case, ...], suite: Suite) -> tuple[Trial, ...]:
    """Trials of one host in rounds that hold every case once, shuffled by the seed: drift falls on all alike."""
    shuffler = random.Random(suite.seed)  # noqa: S311 - an order, not a secret
    counts: dict[TrialKind, int] = {"timing": suite.trials.timing, "memory": suite.trials.memory}
    ordered: list[Trial] = []
    for index in range(max(counts.values())):
        of_round = [Trial(case, kind, index) for kind, count in counts.items() if index < count for case in cases]
        shuffler.shuffle(of_round)
        ordered += of_round
    return tuple(ordered)
