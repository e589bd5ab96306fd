"""One host's part of a campaign: its runners, the checks of their answers, and its trials, one after the other."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Any

import numpy as np
from google.protobuf.json_format import MessageToDict
from numpy.typing import NDArray
from pydantic import ValidationError

from orchestrator import fidelity, translation
from orchestrator.artifacts import Artifact
from orchestrator.cases import ArtifactName, Case, Trial, TrialKind
from orchestrator.client import RunnerClient
from orchestrator.errors import CaseFailure, Stage, Symptom
from orchestrator.inventory import Host, RunnerEntry
from orchestrator.launch import Launched, Launcher, reach
from orchestrator.plan import Check, Plan, order_trials, resolve_threads
from orchestrator.preparation import Inputs
from orchestrator.progress import Narrator
from orchestrator.recorder import Recorder
from orchestrator.results.interference import host_best_ns, own_best_ns
from orchestrator.results.schema import CheckSection, Identity
from orchestrator.suite import ModelEntry, Suite
from runner_api.v1 import runner_pb2 as api
from runner_api.v1.wire import Tensors

CHECK_BATCH_SIZE = 100
# Samples whose answers one at a time are held against their answers in a batch.
ONE_AT_A_TIME = 32


class HostStoppedError(Exception):
    """The run was stopped while a piece of work was under way."""


@dataclass(frozen=True)
class Prepared:
    """An artifact with what its answers are held against.

    `expected`: the source framework's answers to `inputs`, shape (samples, ...).
    """

    entry: ModelEntry
    artifact: Artifact
    inputs: Inputs
    expected: NDArray[np.floating]


@dataclass(frozen=True)
class LiveRunner:
    """A runner that answers, and what it said of itself."""

    client: RunnerClient
    launched: Launched
    description: api.DescribeResponse


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
        """`turns` has a lock for each machine, by fingerprint: two hosts of an inventory may be one machine."""
        self._host = host
        self._turns = turns
        self._suite = suite
        self._prepared = prepared
        self._recorder = recorder
        self._launcher = launcher
        self._narrator = narrator
        self._checks = [check for check in plan.checks if check.host == host.name]
        self._cases = tuple(case for case in plan.cases if case.host == host.name)
        self._runners: dict[str, LiveRunner | CaseFailure] = {}
        self._references_ns: list[float] = []
        self._stopped = threading.Event()

    def execute(self) -> None:
        """Starts the runners, has what they are written down, checks, measures and ends the runners."""
        names = {check.runner for check in self._checks} | {case.runner for case in self._cases}
        with ExitStack() as stack:
            for entry in self._host.entries():
                if entry.name in names and not self._stopped.is_set():
                    self._narrator.begin(f"{self._host.name}: starting {entry.name}")
                    self._runners[entry.name] = self._bring_up(entry, stack)
            self._recorder.describe_runners(self._told())
            cases = resolve_threads(self._cases, self._available_cpus())
            trials = order_trials(cases, self._suite)
            self._narrator.expect(len(self._checks) + len(trials))
            self._check_all()
            self._measure_all(trials)

    def stop(self) -> None:
        """Ends the run from another thread: no new trial begins, calls under way are cancelled."""
        self._stopped.set()
        for runner in tuple(self._runners.values()):
            if isinstance(runner, LiveRunner):
                runner.client.close()

    def _bring_up(self, entry: RunnerEntry, stack: ExitStack) -> LiveRunner | CaseFailure:
        try:
            launched = stack.enter_context(reach(entry, self._launcher))
            client = stack.enter_context(RunnerClient(entry.name, launched.target))
            description = client.describe()
            if description.runtime != entry.kind.runtime:
                found = f"the runner at {launched.target} is one of {description.runtime}, not {entry.kind.runtime}"
                raise CaseFailure(Stage.SHIP, Symptom.REFUSED, f"{found}; correct the address of {entry.name}")
            return LiveRunner(client, launched, description)
        except CaseFailure as failure:
            return failure

    def _told(self) -> dict[str, dict[str, Any]]:
        return {
            f"{self._host.name}/{name}": _told(runner)
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
        _ship(prepared, runner)
        session = api.Session(
            artifact_sha256=prepared.artifact.sha256, format=check.artifact.format, device=check.device, threads=1
        )
        with np.load(prepared.inputs.path, allow_pickle=False) as archive:
            inputs = {name: archive[name] for name in archive.files}
        head = {name: tensor[:ONE_AT_A_TIME] for name, tensor in inputs.items()}
        batches = chain(_batches(inputs, CHECK_BATCH_SIZE), _batches(head, 1))
        outputs = runner.client.predict(session, batches, self._suite.trial_timeout_s)
        try:
            answers = np.concatenate([next(iter(output.values())) for output in outputs])
        except (StopIteration, ValueError) as error:
            message = f"the answers of {check.runner} do not hold together: {error or 'no output'}"
            raise CaseFailure(Stage.COMPARE, Symptom.WRONG_OUTPUT, message) from None
        samples = len(prepared.expected)
        result = fidelity.compare(prepared.expected, answers[:samples], prepared.inputs.labels, answers[samples:])
        tolerance = prepared.entry.tolerance[prepared.artifact.precision]
        section = CheckSection(**asdict(result), tolerance=tolerance)
        return {"check": section, **_verdict(section)}

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
                with self._turns[runner.description.host_fingerprint]:
                    return work()
            except Exception as error:
                if self._stopped.is_set():
                    raise HostStoppedError from error
                raise

        return self._recorder.attempt(
            identity,
            unless_stopped,
            artifact_bytes=prepared.artifact.size_bytes,
            data=prepared.inputs.name,
            inputs_sha256=prepared.inputs.sha256,
            versions=dict(runner.description.versions),
        )

    def _trial(self, trial: Trial, prepared: Prepared, runner: LiveRunner) -> dict[str, Any]:
        _ship(prepared, runner)
        alone = trial.case.threads == 1
        request = translation.measure_request(
            trial,
            self._suite,
            prepared.artifact.sha256,
            prepared.inputs.sha256,
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


def _ship(prepared: Prepared, runner: LiveRunner) -> None:
    """Model and inputs, which travel only when the runner does not have them."""
    runner.client.put_artifact(prepared.artifact.path, prepared.artifact.sha256)
    runner.client.put_artifact(prepared.inputs.path, prepared.inputs.sha256)


def _batches(inputs: Tensors, batch_size: int) -> Iterator[Tensors]:
    samples = len(next(iter(inputs.values())))
    for start in range(0, samples, batch_size):
        yield {name: tensor[start : start + batch_size] for name, tensor in inputs.items()}


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


def _told(runner: LiveRunner) -> dict[str, Any]:
    told: dict[str, Any] = MessageToDict(runner.description, preserving_proto_field_name=True)
    return told | {"isolation": runner.launched.isolation, "image_digest": runner.launched.image_digest}


def _label(artifact: ArtifactName) -> str:
    return f"{artifact.model} ({artifact.source_framework}) as {artifact.format} {artifact.precision}"
