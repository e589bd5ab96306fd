"""One host's part of a campaign: its runners, the checks of their answers, and its trials, one after the other."""

import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

import numpy as np
from pydantic import ValidationError

from orchestrator import fidelity, translation
from orchestrator.artifacts import Artifact
from orchestrator.cases import ArtifactName, Attack, Case, Trial, TrialKind
from orchestrator.errors import CaseFailure, Stage, Symptom
from orchestrator.inventory import Host
from orchestrator.launch import Launcher
from orchestrator.live import LiveRunner, bring_up
from orchestrator.plan import Check, Plan, Replay, order_trials, resolve_threads
from orchestrator.progress import Narrator
from orchestrator.recorder import Recorder
from orchestrator.results.interference import host_best_ns, own_best_ns
from orchestrator.results.schema import AttackSection, CheckSection, Identity
from orchestrator.robustness.chunks import forget
from orchestrator.robustness.crafted import Attacked, Source
from orchestrator.robustness.replay import Replayer, attack_section
from orchestrator.suite import ModelEntry, Suite

CHECK_BATCH_SIZE = 100
# Samples whose answers one at a time are held against their answers in a batch.
ONE_AT_A_TIME = 32


class HostStoppedError(Exception):
    """The run was stopped while a piece of work was under way."""


@dataclass(frozen=True)
class Prepared:
    """An artifact of a suite's model, the source model that it is held against, and what attacks on that made."""

    entry: ModelEntry
    artifact: Artifact
    source: Source
    attacked: Mapping[Attack, Attacked | CaseFailure]


@dataclass(frozen=True)
class _Subject:
    """What the attacks on one artifact on one runner need."""

    prepared: Prepared
    runner: LiveRunner
    replayer: Replayer


class HostRun:
    """Executes the part of a plan that lies on one host."""

    def __init__(
        self,
        host: Host,
        plan: Plan,
        suite: Suite,
        prepared: Mapping[ArtifactName, Prepared | CaseFailure],
        recorder: Recorder,
        launcher: Launcher,
        narrator: Narrator,
        turns: Mapping[str, threading.Lock],
    ) -> None:
        """`turns` has a lock for each machine, by boot id: two hosts of an inventory may be one machine."""
        self._host = host
        self._turns = turns
        self._suite = suite
        self._prepared = prepared
        self._recorder = recorder
        self._launcher = launcher
        self._narrator = narrator
        self._checks = [check for check in plan.checks if check.host == host.name]
        self._replays = [replay for replay in plan.replays if replay.place.host == host.name]
        self._cases = tuple(case for case in plan.cases if case.host == host.name)
        self._runners: dict[str, LiveRunner | CaseFailure] = {}
        self._references_ns: list[float] = []
        self._stopped = threading.Event()

    def execute(self) -> None:
        """Starts the runners, has what they are written down, checks, attacks, measures and ends the runners."""
        names = {check.runner for check in self._checks} | {case.runner for case in self._cases}
        with ExitStack() as stack:
            for entry in self._host.entries():
                if entry.name in names and not self._stopped.is_set():
                    self._narrator.begin(f"{self._host.name}: starting {entry.name}")
                    self._runners[entry.name] = bring_up(self._host, entry, self._launcher, stack)
            self._recorder.describe_runners(self._told())
            cases = resolve_threads(self._cases, self._available_cpus())
            trials = order_trials(cases, self._suite)
            self._narrator.expect(len(self._checks) + len(self._replays) + len(trials))
            self._check_all()
            self._attack_all()
            self._measure_all(trials)

    def stop(self) -> None:
        """Ends the run from another thread: no new trial begins, calls under way are cancelled."""
        self._stopped.set()
        for runner in tuple(self._runners.values()):
            if isinstance(runner, LiveRunner):
                runner.client.close()

    def _told(self) -> dict[str, dict[str, Any]]:
        return {
            f"{self._host.name}/{name}": runner.told()
            for name, runner in self._runners.items()
            if isinstance(runner, LiveRunner)
        }

    def _available_cpus(self) -> dict[tuple[str, str], int]:
        return {
            (self._host.name, name): runner.description.available_cpus
            for name, runner in self._runners.items()
            if isinstance(runner, LiveRunner)
        }

    def _check_all(self) -> None:
        for check in self._checks:
            if self._stopped.is_set():
                return
            what = f"{_label(check.artifact)} on {check.runner}: answers"
            self._narrator.begin(what)
            self._check(check)
            self._narrator.end(what)

    def _check(self, check: Check) -> None:
        identity = self._identity(check.artifact, check.runner, kind="check", device=check.device)
        found = self._find(check.artifact, check.runner)
        if isinstance(found, CaseFailure):
            self._recorder.fail(identity, found)
            return
        prepared, runner = found
        self._attempt(identity, lambda: self._compare(check, prepared, runner), prepared, runner)

    def _compare(self, check: Check, prepared: Prepared, runner: LiveRunner) -> dict[str, Any]:
        """Asks for the answers to the whole test set in batches, then to its first samples one at a time."""
        inputs, expected = prepared.source.inputs, prepared.source.answers
        runner.ship(prepared.artifact, inputs)
        session = translation.session(check.artifact, prepared.artifact.sha256, check.device, threads=1)
        with runner.client.dialogue(session, self._suite.trial_timeout_s) as model:
            answers = model.ask_stored(inputs.sha256, len(expected), CHECK_BATCH_SIZE)
            alone = model.ask_stored(inputs.sha256, min(ONE_AT_A_TIME, len(expected)), 1)
        result = fidelity.compare(expected, answers, inputs.labels, alone)
        tolerance = prepared.entry.tolerance[prepared.artifact.precision]
        section = CheckSection(**asdict(result), tolerance=tolerance)
        return {"check": section, **_verdict(section)}

    def _attack_all(self) -> None:
        for place, replays in groupby(self._replays, key=lambda replay: replay.place):
            found = self._find(place.artifact, place.runner)
            with ExitStack() as stack:
                subject: _Subject | CaseFailure
                subject = found if isinstance(found, CaseFailure) else self._subject(place, *found, stack)
                for replay in replays:
                    if self._stopped.is_set():
                        return
                    what = f"{_label(place.artifact)} on {place.runner}: {replay.attack.label}"
                    self._narrator.begin(what)
                    self._attack(replay, subject, what)
                    self._narrator.end(what)

    def _subject(self, place: Check, prepared: Prepared, runner: LiveRunner, stack: ExitStack) -> "_Subject":
        session = translation.session(place.artifact, prepared.artifact.sha256, place.device, threads=1)
        seed, timeout_s = self._suite.seed, self._suite.attack_timeout_s
        replayer = Replayer(runner, prepared.artifact, session, prepared.source, seed, timeout_s)
        return _Subject(prepared, runner, stack.enter_context(replayer))

    def _attack(self, replay: Replay, subject: "_Subject | CaseFailure", what: str) -> None:
        place, attack = replay.place, replay.attack
        identity = self._identity(place.artifact, place.runner, kind="attack", device=place.device, attack=attack.label)
        if isinstance(subject, CaseFailure):
            self._recorder.fail(identity, subject)
            return
        attacked = subject.prepared.attacked.get(attack)
        unfinished = self._recorder.store.folder / f"unfinished-{identity.key}"

        def on_told(told: str) -> None:
            self._narrator.begin(f"{what}, {told}")

        def work() -> dict[str, Any]:
            made = attacked or subject.replayer.attack(attack, unfinished, on_told)
            if isinstance(made, CaseFailure):
                raise made
            section = attack_section(attack, made, subject.replayer.replay(made))
            return {"robustness": section, **_trustworthy(section)}

        if self._attempt(identity, work, subject.prepared, subject.runner):
            forget(unfinished)

    def _measure_all(self, trials: tuple[Trial, ...]) -> None:
        """What failed and never succeeded is not tried again: its next trials would only cost their time-outs."""
        succeeded: dict[tuple[Case, TrialKind], bool] = {}
        for trial in trials:
            if self._stopped.is_set():
                return
            case = trial.case
            what = f"{_label(case.artifact)} on {case.runner}, batch {case.batch_size}: {trial.kind} {trial.index + 1}"
            self._narrator.begin(what)
            if succeeded.get((case, trial.kind), True):
                succeeded[case, trial.kind] = self._measure(trial) or (case, trial.kind) in succeeded
            self._narrator.end(what)

    def _measure(self, trial: Trial) -> bool:
        case = trial.case
        identity = self._identity(
            case.artifact,
            case.runner,
            kind=trial.kind,
            trial=trial.index,
            device=case.device,
            batch_size=case.batch_size,
            threads=case.threads,
        )
        found = self._find(case.artifact, case.runner)
        if isinstance(found, CaseFailure):
            self._recorder.fail(identity, found)
            return False
        prepared, runner = found
        return self._attempt(identity, lambda: self._trial(trial, prepared, runner), prepared, runner)

    def _attempt(
        self, identity: Identity, work: Callable[[], dict[str, Any]], prepared: Prepared, runner: LiveRunner
    ) -> bool:
        """Does the work and records it, unless the run was stopped in the middle: that is no result."""

        def unless_stopped() -> dict[str, Any]:
            try:
                with self._turns[runner.description.boot_id]:
                    return work()
            except Exception as error:
                if self._stopped.is_set():
                    raise HostStoppedError from error
                raise

        return self._recorder.attempt(
            identity,
            unless_stopped,
            artifact_bytes=prepared.artifact.size_bytes,
            data=prepared.source.inputs.name,
            inputs_sha256=prepared.source.inputs.sha256,
            versions=dict(runner.description.versions),
        )

    def _trial(self, trial: Trial, prepared: Prepared, runner: LiveRunner) -> dict[str, Any]:
        runner.ship(prepared.artifact, prepared.source.inputs)
        alone = trial.case.threads == 1
        request = translation.measure_request(
            trial,
            self._suite,
            prepared.artifact.sha256,
            prepared.source.inputs.sha256,
            self._reference_best_ns() if alone else 0.0,
        )
        result = runner.client.measure(request)
        own = list(result.timing.references_ns)
        self._references_ns += own if alone else []
        try:
            best_ns = self._reference_best_ns() if alone or not own else own_best_ns(np.array(own, float))
            return {"status": "ok"} | translation.fields(result, request, best_ns)
        except ValidationError as error:
            detail = error.errors(include_url=False)[0]["msg"]
            raise CaseFailure(
                Stage.MEASURE, Symptom.CRASH, f"the runner {runner.client.name} sent a result with a mistake: {detail}"
            ) from None

    def _reference_best_ns(self) -> float:
        """The host's best reference so far in this campaign, 0 before the first trial."""
        return host_best_ns(np.array(self._references_ns, float)) if self._references_ns else 0.0

    def _find(self, artifact: ArtifactName, runner: str) -> tuple[Prepared, LiveRunner] | CaseFailure:
        """What is needed to execute the artifact on the runner, or why it cannot be had."""
        prepared, live = self._prepared[artifact], self._runners[runner]
        if isinstance(prepared, CaseFailure):
            return prepared
        return live if isinstance(live, CaseFailure) else (prepared, live)

    def _identity(self, artifact: ArtifactName, runner: str, **fields: Any) -> Identity:
        prepared, live = self._prepared[artifact], self._runners[runner]
        if isinstance(prepared, Prepared):
            fields["artifact_sha256"] = prepared.artifact.sha256
        if isinstance(live, LiveRunner):
            fields["host_fingerprint"] = live.description.host_fingerprint
            fields["isolation"], fields["image_digest"] = live.launched.isolation, live.launched.image_digest
        entry = next(entry for entry in self._host.entries() if entry.name == runner)
        return Identity(**asdict(artifact), host=self._host.name, runner=runner, runtime=entry.kind.runtime, **fields)


def _verdict(check: CheckSection) -> dict[str, Any]:
    """The row's status: wrong answers are a result, not the end."""
    problems = []
    if not check.max_abs_error <= check.tolerance:
        problems.append(f"answers differ from the source's by {check.max_abs_error:.3g}, tolerance {check.tolerance:g}")
    if check.batch_invariant is False:
        problems.append("answers one at a time differ from those of a batch")
    if not problems:
        return {"status": "ok"}
    return {
        "status": "wrong",
        "stage": Stage.COMPARE,
        "symptom": Symptom.WRONG_OUTPUT,
        "message": "; ".join(problems),
    }


def _trustworthy(attacked: AttackSection) -> dict[str, Any]:
    """The row's status: what depends on the batch is no finding about attacks."""
    if attacked.batch_invariant:
        return {"status": "ok"}
    message = "attacked inputs have other classes one at a time than in a batch, so this is no finding"
    return {"status": "wrong", "stage": Stage.COMPARE, "symptom": Symptom.WRONG_OUTPUT, "message": message}


def _label(artifact: ArtifactName) -> str:
    return f"{artifact.model} ({artifact.source_framework}) as {artifact.format} {artifact.precision}"
