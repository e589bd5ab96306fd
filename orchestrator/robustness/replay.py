"""Attacked inputs on a runner: what the artifact there answers, and what that says beside the source model."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np
from google.protobuf.json_format import MessageToDict
from numpy.typing import NDArray

from orchestrator import fidelity, isolated, scratch
from orchestrator.artifacts import JSON, Artifact, key_of, sha256_of
from orchestrator.cases import Attack
from orchestrator.client import Dialogue
from orchestrator.errors import CaseFailure, RunnerLost, Stage, Symptom
from orchestrator.live import LiveRunner
from orchestrator.results.schema import AttackSection, Margin, Outcomes
from orchestrator.results.scoring import Rate, batch_invariant, margins, score
from orchestrator.robustness.crafted import Attacked, Source, Targets
from runner_api.v1 import runner_pb2 as api

BATCH_SIZE = 100
_PASSING = (Symptom.CRASH, Symptom.OUT_OF_MEMORY, Symptom.UNAVAILABLE)
"""A worker that is killed from outside cannot be told from one that the kernel ended for lack of memory."""

ResultT = TypeVar("ResultT")

Answers = NDArray[Any]


@dataclass(frozen=True)
class Replayed:
    """What an artifact answers before and after an attack, in batches and one at a time."""

    clean: Answers
    clean_alone: Answers
    attacked: Answers
    attacked_alone: Answers


class Replayer:
    """Attacks on one artifact on one runner; its model is loaded once for all inputs that are replayed.

    A runner that fails is asked once more, the model loaded anew.

    Args:
        runner: where the artifact is executed.
        artifact: what is attacked.
        session: with the artifact on that runner.
        source: what it was made of.
        seed: of attacks that draw.
        timeout_s: for an attack, and for all that is replayed.
    """

    def __init__(
        self, runner: LiveRunner, artifact: Artifact, session: api.Session, source: Source, seed: int, timeout_s: float
    ) -> None:
        self._runner = runner
        self._artifact = artifact
        self._session = session
        self._source = source
        self._seed = seed
        self._timeout_s = timeout_s
        self._model: Dialogue | None = None
        self._clean: dict[str, tuple[Answers, Answers]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._rest()

    def _rest(self) -> None:
        """Lets the model go until the next question, so that the runner can serve somebody else."""
        if self._model is not None:
            self._model.close()
            self._model = None

    def attack(self, attack: Attack, chunks: Path, on_told: Callable[[str], None]) -> Attacked:
        """Runs an attack against the artifact where it is; `on_told` hears how far it is.

        What is finished lies in the folder `chunks`, for an attack that goes on; the caller removes it.

        Raises:
            CaseFailure: as `RunnerClient.predict`.
        """
        self._rest()
        self._runner.ship(self._artifact)
        targets = self._source.targets(attack.samples)

        def make(target: Path) -> dict[str, JSON]:
            return isolated.call(
                "orchestrator.robustness.crafting:on_runner",
                timeout_s=self._timeout_s,
                stage=Stage.ATTACK,
                on_told=on_told,
                runner=self._runner.client.name,
                endpoint={**self._runner.launched.endpoint.as_texts()},
                session=MessageToDict(self._session, preserving_proto_field_name=True),
                answers_timeout_s=self._timeout_s,
                inputs=str(targets.artifact.path),
                attack=asdict(attack),
                seed=self._seed,
                chunks=str(chunks),
                target=str(target),
            )

        with scratch.folder() as folder:
            target = folder / "attacked"
            details = _twice(lambda: make(target))
            key = key_of("attack on a runner", sha256_of(target))
            made = self._source.cache.store(key, target, format="npz", precision="float32", details=details)
        return self._source.attacked(targets, made)

    def replay(self, attacked: Attacked) -> Replayed:
        """The answers to an attack's targets and to what it made of them.

        Raises:
            CaseFailure: as `RunnerClient.predict` and `put_artifact`.
        """
        return Replayed(*self._clean_answers(attacked.targets), *self._both_ways(attacked.artifact, attacked.targets))

    def _clean_answers(self, targets: Targets) -> tuple[Answers, Answers]:
        key = targets.artifact.sha256
        if key not in self._clean:
            self._clean[key] = self._both_ways(targets.artifact, targets)
        return self._clean[key]

    def _both_ways(self, inputs: Artifact, targets: Targets) -> tuple[Answers, Answers]:
        """In batches and one at a time."""
        self._runner.ship(self._artifact, inputs)
        samples = len(targets.labels)
        return self._ask(inputs.sha256, samples, BATCH_SIZE), self._ask(inputs.sha256, samples, 1)

    def _ask(self, inputs_sha256: str, samples: int, batch_size: int) -> Answers:
        def ask() -> Answers:
            self._model = self._model or self._runner.client.dialogue(self._session, self._timeout_s)
            try:
                return self._model.ask_stored(inputs_sha256, samples, batch_size)[0]
            except CaseFailure:
                self._rest()
                raise

        return _twice(ask)


def _twice(work: Callable[[], ResultT]) -> ResultT:
    """A second time after a failure that may pass, unless the runner must be brought up again first."""
    try:
        return work()
    except CaseFailure as failure:
        if failure.symptom not in _PASSING or isinstance(failure, RunnerLost):
            raise
        return work()


def attack_section(attack: Attack, attacked: Attacked, replayed: Replayed) -> AttackSection:
    """The row's section.

    Raises:
        CaseFailure: (compare, wrong-output) an answer is not a finite number, or has another shape than the source's.
    """
    targets = attacked.targets
    fidelity.compare(targets.answers, replayed.clean, None, None)
    fidelity.compare(attacked.answers, replayed.attacked, None, None)
    outcomes = Outcomes(
        labels=tuple(targets.labels.tolist()),
        source_clean=_classes(targets.answers),
        source_attacked=_classes(attacked.answers),
        clean=_classes(replayed.clean),
        clean_alone=_classes(replayed.clean_alone),
        attacked=_classes(replayed.attacked),
        attacked_alone=_classes(replayed.attacked_alone),
    )
    found = score(outcomes)
    told: dict[str, Any] = attacked.details
    queries = told["queries"]
    return AttackSection(
        name=attack.name,
        norm=attack.norm,
        epsilon=attack.epsilon,
        words=attack.words,
        iterations=attack.iterations,
        against=attack.against,
        attacked_sha256=attacked.artifact.sha256,
        samples=len(targets.labels),
        scored=found.scored,
        source_wrong=found.source.count,
        wrong=found.converted.count,
        **_interval("wrong", found.converted),
        disagreements=found.disagreements.count,
        **_interval("disagreements", found.disagreements),
        only_source_wrong=found.paired.only_source,
        only_this_wrong=found.paired.only_converted,
        mcnemar_p=found.paired.p_value(),
        label_agreement=float(np.mean(np.equal(outcomes.source_attacked, outcomes.attacked))),
        margins=_margins(attacked.answers, replayed.attacked),
        batch_invariant=batch_invariant(outcomes),
        distances=tuple(_distances(attack, attacked).tolist()),
        crafting_ns=told["crafting_ns"],
        queries=queries,
        queries_per_s=None if queries is None else queries * 1e9 / max(told["crafting_ns"], 1),
        outcomes=outcomes,
    )


def _classes(answers: Answers) -> tuple[int, ...]:
    return tuple(fidelity.classes(answers).tolist())


def _interval(name: str, rate: Rate) -> dict[str, float]:
    low, high = rate.interval()
    return {f"{name}_low": low, f"{name}_high": high}


def _margins(source: Answers, converted: Answers) -> tuple[Margin, ...]:
    differing = np.flatnonzero(fidelity.classes(source) != fidelity.classes(converted))
    of_source, of_converted = margins(source), margins(converted)
    return tuple(
        Margin(input=int(index), source=float(of_source[index]), converted=float(of_converted[index]))
        for index in differing
    )


def _distances(attack: Attack, attacked: Attacked) -> NDArray[np.float64]:
    """Of each attacked input from the original, in the attack's norm, or in changed words."""
    with np.load(attacked.targets.artifact.path) as before, np.load(attacked.artifact.path) as after:
        changes = (after["input"].astype(np.float64) - before["input"]).reshape(len(before["input"]), -1)
    order = {None: 0, "linf": np.inf, "l2": 2}[attack.norm]  # 0 counts what is not zero
    distances: NDArray[np.float64] = np.linalg.norm(changes, order, axis=1)
    return distances
