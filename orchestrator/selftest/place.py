"""Where the checks measure: a runner, and fresh processes beside it that know nothing of the harness."""

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from orchestrator.artifacts import sha256_of
from orchestrator.client import RunnerClient
from orchestrator.errors import CaseFailure, Stage, Symptom
from orchestrator.launch import Launched, Launcher
from orchestrator.runtimes import RUNNERS
from orchestrator.selftest.processes import Process, process
from orchestrator.suite import StopRule
from runner_api.v1 import runner_pb2 as api

_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Subject:
    """An artifact and its inputs, in files of this machine."""

    model: Path
    format: str
    inputs: Path


@dataclass(frozen=True)
class Place:
    """A live runner."""

    client: RunnerClient
    launched: Launched

    def time(
        self,
        subject: Subject,
        rule: StopRule,
        reference_best_ns: float = 0.0,
        on_phase: Callable[[str], None] = lambda _phase: None,
        batch_size: int = 1,
    ) -> Process:
        """One timing trial on one thread.

        Raises:
            CaseFailure: as the runner says.
        """
        request = self._request(subject, api.TRIAL_KIND_TIMING, rule, batch_size)
        request.reference_best_ns = reference_best_ns
        timing = self.client.measure(request, on_phase).timing
        return process(timing.samples_ns, timing.block_samples, timing.references_ns, timing.waits_ns)

    def memory(self, subject: Subject) -> api.Memory:
        """One memory trial at batch 1 on one thread.

        Raises:
            CaseFailure: as the runner says.
        """
        return self.client.measure(self._request(subject, api.TRIAL_KIND_MEMORY, StopRule())).memory

    def bare(self, *what: str, warmup_s: float, steady_s: float) -> Process:
        """What a plain loop beside the runner measures; see runners/bare.py.

        Raises:
            CaseFailure: measure; it failed or hung.
        """
        times = (f"--warmup-s={warmup_s}", f"--steady-s={steady_s}")
        command = [*self.launched.python, "-m", "runners.bare", *times, *what]
        try:
            ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_TIMEOUT_S)
        except subprocess.CalledProcessError as error:
            words = (error.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise CaseFailure(Stage.MEASURE, Symptom.CRASH, f"the plain loop failed: {words}") from None
        except subprocess.TimeoutExpired:
            message = f"the plain loop did not end within {_TIMEOUT_S:g} s; is the machine overloaded?"
            raise CaseFailure(Stage.MEASURE, Symptom.TIMEOUT, message) from None
        return process(**json.loads(ended.stdout))

    def bare_model(self, subject: Subject, *, warmup_s: float, steady_s: float) -> Process:
        """A plain loop around `session.run` on the runner's own copy of the files."""
        model, inputs = (f"{self.launched.store}/{self._put(file)}" for file in (subject.model, subject.inputs))
        return self.bare("onnxruntime", model, inputs, warmup_s=warmup_s, steady_s=steady_s)

    def _put(self, file: Path) -> str:
        sha256 = sha256_of(file)
        self.client.put_artifact(file, sha256)
        return sha256

    def _request(
        self, subject: Subject, kind: api.TrialKind, rule: StopRule, batch_size: int = 1
    ) -> api.MeasureRequest:
        return api.MeasureRequest(
            session=api.Session(
                artifact_sha256=self._put(subject.model), format=subject.format, device="cpu", threads=1
            ),
            kind=kind,
            inputs_sha256=self._put(subject.inputs),
            batch_size=batch_size,
            stop_rule=api.StopRule(
                min_samples=rule.min_samples,
                min_time_ns=round(rule.min_time_s * 1e9),
                min_undisturbed_samples=rule.min_undisturbed_samples,
                max_time_ns=round(rule.max_time_s * 1e9),
                max_warmup_ns=round(rule.max_warmup_s * 1e9),
            ),
            timeout_ns=round(_TIMEOUT_S * 1e9),
        )


@contextmanager
def place(launcher: Launcher, runner: str) -> Iterator[Place]:
    """The runner of that name for the time of the context.

    Raises:
        CaseFailure: it does not come up.
    """
    with launcher.start(RUNNERS[runner]) as launched, RunnerClient(runner, launched.endpoint) as client:
        client.describe()
        yield Place(client, launched)
