"""One host's part of a campaign: its runners, the checks of their answers, and its trials, one after the other."""

import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from orchestrator import fidelity, translation
from orchestrator.artifacts import Artifact
from orchestrator.cases import ArtifactName, Attack, Case, Trial, TrialKind
from orchestrator.errors import CaseFailure, Stage, Symptom
from orchestrator.inventory import Host
from orchestrator.launch import Launcher
from orchestrator.live import LiveRunner
from orchestrator.own.suites import OwnSource
from orchestrator.plan import Check, Plan, Replay, order_trials, resolve_threads
from orchestrator.progress import Narrator
from orchestrator.recorder import Recorder
from orchestrator.results.interference import host_best_ns, own_best_ns
from orchestrator.results.schema import AttackSection, CheckSection, Identity
from orchestrator.results.selection import Name, reference_of
from orchestrator.robustness.chunks import forget
from orchestrator.robustness.crafted import Attacked, Source
from orchestrator.robustness.replay import Replayer, attack_section
from orchestrator.suite import ModelEntry, OwnEntry, Suite
from orchestrator.upkeep import Upkeep

CHECK_BATCH_SIZE = 100
# Samples whose answers one at a time are held against their answers in a batch.
ONE_AT_A_TIME = 32


class HostStoppedError(Exception):
    """The run was stopped while a piece of work was under way."""


@dataclass(frozen=True)
class Prepared:
    """An artifact of a suite's model, the source model that it is held against, and what attacks on that made."""

    entry: ModelEntry | OwnEntry
    artifact: Artifact
    source: Source | OwnSource
    attacked: Mapping[Attack, Attacked | CaseFailure]
    fixed_batch: int | None = None
    """The only number of samples that the source takes at once, if it takes one only."""


class _LostError(Exception):
    """The runner was lost in the middle of a piece of work, which may be done once more."""

    def __init__(self, failure: CaseFailure) -> None:
        super().__init__(failure.message)
        self.failure = failure


Work = Callable[[Prepared, LiveRunner], dict[str, Any]]
"""Done with an artifact on its runner; returns the row's section and status."""


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
        self._runners: dict[str, Upkeep] = {}
        self._references_ns: dict[Name, list[float]] = defaultdict(list)
        self._stopped = threading.Event()

    def execute(self) -> None:
        """Starts the runners, has what they are written down, checks, attacks, measures and ends the runners.

        What a runner did is done again by one of other software or on another machine that took its place.
        """
        names = {check.runner for check in self._checks} | {case.runner for case in self._cases}
        with ExitStack() as stack:
            for entry in self._host.entries():
                if entry.name in names and not self._stopped.is_set():
                    self._narrator.begin(f"{self._host.name}: starting {entry.name}")
                    upkeep = Upkeep(self._host, entry, self._launcher, self._stopped)
                    self._runners[entry.name] = stack.enter_context(upkeep)
            while not self._stopped.is_set():
                before = self._subjects()
                self._do_all()
                if all(before.get(name) == subject for name, subject in self._subjects().items()):
                    return

    def stop(self) -> None:
        """Ends the run from another thread: no new trial begins, calls under way are cancelled."""
        self._stopped.set()
        for upkeep in tuple(self._runners.values()):
            upkeep.stop()

    def _live(self) -> dict[str, LiveRunner]:
        return {
            name: runner for name, upkeep in self._runners.items() if isinstance(runner := upkeep.runner, LiveRunner)
        }

    def _subjects(self) -> dict[str, dict[str, Any]]:
        """Of each runner that is up what its rows are told apart by."""
        return {name: _told_apart_by(runner) for name, runner in self._live().items()}

    def _do_all(self) -> None:
        """Whatever has no row yet."""
        host, live = self._host.name, self._live()
        self._recorder.describe_runners({f"{host}/{name}": runner.told() for name, runner in live.items()})
        self._references_ns.clear()
        available_cpus = {(host, name): runner.description.available_cpus for name, runner in live.items()}
        trials = order_trials(resolve_threads(self._cases, available_cpus), self._suite)
        self._narrator.expect(len(self._checks) + len(self._replays) + len(trials))
        self._check_all()
        self._attack_all()
        self._measure_all(trials)

    def _check_all(self) -> None:
        for check in self._checks:
            if self._stopped.is_set():
                return
            what = f"{_label(check.artifact)} on {check.runner}: answers"
            self._narrator.begin(what)
            work = partial(self._compare, check)
            self._attempt(check.artifact, check.runner, work, kind="check", device=check.device)
            self._narrator.end(what)

    def _compare(self, check: Check, prepared: Prepared, runner: LiveRunner) -> dict[str, Any]:
        """Asks for the answers to the whole test set in batches, then to its first samples one at a time."""
        inputs, expected = prepared.source.inputs, prepared.source.outputs
        samples = len(expected[0])
        runner.ship(prepared.artifact, inputs)
        session = translation.session(check.artifact, prepared.artifact.sha256, check.device, threads=1)
        with runner.client.dialogue(session, self._suite.trial_timeout_s) as model:
            answers = model.ask_stored(inputs.sha256, samples, prepared.fixed_batch or CHECK_BATCH_SIZE)
            alone = None
            if prepared.fixed_batch in (None, 1):
                alone = model.ask_stored(inputs.sha256, min(ONE_AT_A_TIME, samples), 1)
        result = fidelity.compare_outputs(expected, answers, inputs.labels, alone)
        tolerance = prepared.entry.tolerance[prepared.artifact.precision]
        section = CheckSection(**asdict(result), tolerance=tolerance)
        return {"check": section, **_verdict(section)}

    def _attack_all(self) -> None:
        for place, replays in groupby(self._replays, key=lambda replay: replay.place):
            with ExitStack() as stack:
                replayers = _Replayers(place, self._suite, stack)
                for replay in replays:
                    if self._stopped.is_set():
                        return
                    what = f"{_label(place.artifact)} on {place.runner}: {replay.attack.label}"
                    self._narrator.begin(what)
                    self._attack(replay, replayers, what)
                    self._narrator.end(what)

    def _attack(self, replay: Replay, replayers: "_Replayers", what: str) -> None:
        place, attack = replay.place, replay.attack
        about = {"kind": "attack", "device": place.device, "attack": attack.label}

        def on_told(told: str) -> None:
            self._narrator.begin(f"{what}, {told}")

        def unfinished() -> Path:
            return self._recorder.store.folder / f"unfinished-{self._identity(place.artifact, place.runner, about).key}"

        def work(prepared: Prepared, runner: LiveRunner) -> dict[str, Any]:
            replayer = replayers.of(prepared, runner)
            made = prepared.attacked.get(attack) or replayer.attack(attack, unfinished(), on_told)
            if isinstance(made, CaseFailure):
                raise made
            section = attack_section(attack, made, replayer.replay(made))
            return {"robustness": section, **_trustworthy(section)}

        if self._attempt(place.artifact, place.runner, work, **about):
            forget(unfinished())

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
        return self._attempt(
            case.artifact,
            case.runner,
            partial(self._trial, trial),
            kind=trial.kind,
            trial=trial.index,
            device=case.device,
            batch_size=case.batch_size,
            threads=case.threads,
        )

    def _attempt(self, artifact: ArtifactName, runner: str, work: Work, **about: Any) -> bool:
        """Does the work unless it has its row, and writes that; once more where the runner was lost in the middle.

        Args:
            artifact: with which,
            runner: and on which it is done.
            work: that is safe to repeat.
            about: fields of the row's identity.

        Returns:
            Whether the row has another status than "failed".
        """
        try:
            return self._record(artifact, runner, work, about, once_more=True)
        except _LostError as lost:
            self._narrator.remark(f"{self._host.name}: {lost.failure.message}; bringing it up again")
            self._runners[runner].revive(lost.failure)
            if self._stopped.is_set():
                raise HostStoppedError from lost
        return self._record(artifact, runner, work, about, once_more=False)

    def _record(self, artifact: ArtifactName, runner: str, work: Work, about: dict[str, Any], once_more: bool) -> bool:
        """As `_attempt`; where the work may be done once more, a runner that is lost raises _LostError instead."""
        done = self._recorder.outcome(self._identity(artifact, runner, about))
        if done is not None:
            return done
        found = self._find(artifact, runner)
        identity = self._identity(artifact, runner, about)
        if isinstance(found, CaseFailure):
            return self._recorder.fail(identity, found)
        prepared, live = found

        def in_turn() -> dict[str, Any]:
            try:
                with self._turns[live.description.boot_id]:
                    return work(prepared, live)
            except Exception as error:
                if self._stopped.is_set():
                    raise HostStoppedError from error
                if once_more and isinstance(error, CaseFailure) and live.is_lost(error):
                    raise _LostError(error) from error
                raise

        done = self._recorder.attempt(
            identity,
            in_turn,
            artifact_bytes=prepared.artifact.size_bytes,
            data=prepared.source.inputs.name,
            inputs_sha256=prepared.source.inputs.sha256,
            versions=dict(live.description.versions),
        )
        if done:
            self._runners[runner].worked()
        return done

    def _trial(self, trial: Trial, prepared: Prepared, runner: LiveRunner) -> dict[str, Any]:
        runner.ship(prepared.artifact, prepared.source.inputs)
        alone = trial.case.threads == 1
        references_ns = self._references_ns[reference_of(runner.description.versions)]
        request = translation.measure_request(
            trial,
            self._suite,
            prepared.artifact.sha256,
            prepared.source.inputs.sha256,
            _best_ns(references_ns) if alone else 0.0,
        )
        result = runner.client.measure(request)
        own = list(result.timing.references_ns)
        references_ns += own if alone else []
        try:
            best_ns = _best_ns(references_ns) if alone or not own else own_best_ns(np.array(own, float))
            return {"status": "ok"} | translation.fields(result, request, best_ns)
        except ValidationError as error:
            detail = error.errors(include_url=False)[0]["msg"]
            raise CaseFailure(
                Stage.MEASURE, Symptom.CRASH, f"the runner {runner.client.name} sent a result with a mistake: {detail}"
            ) from None

    def _find(self, artifact: ArtifactName, runner: str) -> tuple[Prepared, LiveRunner] | CaseFailure:
        """What is needed to execute the artifact on the runner now, or why it cannot be had."""
        prepared = self._prepared[artifact]
        if isinstance(prepared, CaseFailure):
            return prepared
        live = self._runners[runner].asked_again()
        return live if isinstance(live, CaseFailure) else (prepared, live)

    def _identity(self, artifact: ArtifactName, runner: str, about: Mapping[str, Any]) -> Identity:
        prepared, live = self._prepared[artifact], self._runners[runner].runner
        fields: dict[str, Any] = {**asdict(artifact), **about}
        if isinstance(prepared, Prepared):
            fields["artifact_sha256"] = prepared.artifact.sha256
        if isinstance(live, LiveRunner):
            fields |= _told_apart_by(live)
        entry = next(entry for entry in self._host.entries() if entry.name == runner)
        return Identity(host=self._host.name, runner=runner, runtime=entry.kind.runtime, **fields)


class _Replayers:
    """The attacks on one artifact on one runner: a model that is loaded there once serves them all."""

    def __init__(self, place: Check, suite: Suite, stack: ExitStack) -> None:
        self._place = place
        self._suite = suite
        self._stack = stack
        self._runner: LiveRunner | None = None

    def of(self, prepared: Prepared, runner: LiveRunner) -> Replayer:
        """The one so far, or a new one on a runner that was brought up again; it ends with the stack."""
        if runner is not self._runner:
            session = translation.session(self._place.artifact, prepared.artifact.sha256, self._place.device, threads=1)
            seed, timeout_s = self._suite.seed, self._suite.attack_timeout_s
            assert isinstance(prepared.source, Source)  # noqa: S101 - on others no attack is planned
            replayer = Replayer(runner, prepared.artifact, session, prepared.source, seed, timeout_s)
            self._replayer, self._runner = self._stack.enter_context(replayer), runner
        return self._replayer


def _told_apart_by(runner: LiveRunner) -> dict[str, Any]:
    """Fields of a row's identity: what is measured on runners that differ in them is never pooled."""
    return {
        "host_fingerprint": runner.description.host_fingerprint,
        "isolation": runner.launched.isolation,
        "image_digest": runner.launched.image_digest,
        "software": runner.software,
    }


def _best_ns(references_ns: Sequence[float]) -> float:
    """The host's best so far in this campaign, 0 before the first trial."""
    return host_best_ns(np.array(references_ns, float)) if references_ns else 0.0


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
