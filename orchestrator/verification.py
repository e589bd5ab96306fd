"""Do two models give the same answers? Asked of runners on this machine, each a process that ends with the question."""

import platform
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


def answers_of(cache: Cache, model: Own, given: Given) -> dict[str, NDArray[Any]]:
    """The answers to all of `given` by output, in the model's order, as its format's runtime on this machine has them.

    Raises:
        CaseFailure: as `verify`.
    """
    if model.source_framework == "tensorflow":
        return preparation.source_answers(cache, model.artifact, model.source_framework, given)
    kind = _runner_of(model.artifact.format)
    with ProcessLauncher().start(kind) as launched, RunnerClient(kind.name, launched.endpoint) as client:
        for file in (model.artifact, given):
            client.put_artifact(file.path, file.sha256)
        session = api.Session(
            artifact_sha256=model.artifact.sha256, format=model.artifact.format, device=kind.devices[0], threads=1
        )
        asked = api.StoredInputs(inputs_sha256=given.sha256, batch_size=model.fixed_batch or BATCH_SIZE)
        batches = list(client.predict(session, [asked], TIMEOUT_S))
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


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
