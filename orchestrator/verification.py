"""Do two models give the same answers? Asked of runners on this machine, each a process that ends with the question."""

import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator import fidelity, preparation
from orchestrator.artifacts import Cache
from orchestrator.client import RunnerClient
from orchestrator.errors import CaseFailure, Stage, Symptom
from orchestrator.fidelity import Fidelity
from orchestrator.launch.process import ProcessLauncher
from orchestrator.own import Own
from orchestrator.own.inputs import Given
from orchestrator.runtimes import RUNNERS, RunnerKind
from orchestrator.suite import DEFAULT_TOLERANCE
from runner_api.v1 import runner_pb2 as api

BATCH_SIZE = 100
TIMEOUT_S = 900.0


@dataclass(frozen=True)
class Agreement:
    """One output of both models, `first` and `second` its names there, `shape` that of a sample's answer."""

    first: str
    second: str
    shape: tuple[int, ...]
    found: Fidelity


def verify(cache: Cache, first: Own, second: Own, given: Given) -> list[Agreement]:
    """Holds the answers of `second` to all of `given` against those of `first`, output by output in their order.

    Raises:
        CaseFailure: no runner here answers for a format; a model cannot be loaded or asked; (compare, wrong-output) the
            outputs are not as many or of other shapes, or hold no finite numbers.
    """
    expected, answers = answers_of(cache, first, given), answers_of(cache, second, given)
    if len(expected) != len(answers):
        counts = f"{first.name} has {len(expected)} outputs, {second.name} has {len(answers)}"
        message = f"{counts}; give models with the same outputs"
        raise CaseFailure(Stage.COMPARE, Symptom.WRONG_OUTPUT, message)
    return [
        Agreement(ours, theirs, expected[ours].shape[1:], _compared(expected[ours], answers[theirs], given))
        for ours, theirs in zip(expected, answers, strict=True)
    ]


def usual_tolerance(*models: Own) -> float:
    """Of the largest error: a suite's default for the smallest precision, for integers that of float16."""
    known = DEFAULT_TOLERANCE
    return max(min(known[model.artifact.precision], known["float16"]) for model in models)


def answers_of(cache: Cache, model: Own, given: Given) -> dict[str, NDArray[Any]]:
    """The answers to all of `given` by output, in the model's order, as its format's runtime on this machine has them.

    Raises:
        CaseFailure: as `verify`.
    """
    if model.source_framework == "tensorflow":
        return preparation.source_answers(cache, model.artifact, model.source_framework, given)
    with _runner(model) as (client, session):
        client.put_artifact(given.path, given.sha256)
        asked = api.StoredInputs(inputs_sha256=given.sha256, batch_size=model.fixed_batch or BATCH_SIZE)
        batches = list(client.predict(session, [asked], TIMEOUT_S))
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


@contextmanager
def asking(model: Own) -> Iterator[Callable[[Given, int], list[NDArray[Any]]]]:
    """Has the model loaded once for many questions; each is inputs and their number, the answer its outputs in order.

    Raises:
        CaseFailure: as `verify`; also from a question.
    """
    with _runner(model) as (client, session), client.dialogue(session, TIMEOUT_S) as dialogue:

        def ask(given: Given, samples: int) -> list[NDArray[Any]]:
            client.put_artifact(given.path, given.sha256)
            return dialogue.ask_stored(given.sha256, samples, model.fixed_batch or BATCH_SIZE)

        yield ask


@contextmanager
def _runner(model: Own) -> Iterator[tuple[RunnerClient, api.Session]]:
    """A runner on this machine that has the model."""
    kind = _runner_of(model.artifact.format)
    with ProcessLauncher().start(kind) as launched, RunnerClient(kind.name, launched.endpoint) as client:
        client.put_artifact(model.artifact.path, model.artifact.sha256)
        artifact, device = model.artifact, kind.devices[0]
        yield client, api.Session(artifact_sha256=artifact.sha256, format=artifact.format, device=device, threads=1)


def _runner_of(format_: str) -> RunnerKind:
    fitting = (
        kind
        for kind in RUNNERS.values()
        if kind.answers and not kind.needs_gpu and format_ in kind.formats and kind.system in (None, platform.system())
    )
    found = next(fitting, None)
    if found is None:
        message = f"no runtime executes {format_}; convert it first: portbench convert"
        raise CaseFailure(Stage.LOAD, Symptom.UNAVAILABLE, message)
    return found


def _compared(expected: NDArray[Any], answers: NDArray[Any], given: Given) -> Fidelity:
    one_class_each = expected.ndim <= 2
    return fidelity.compare(expected, answers, given.labels if one_class_each else None, None)
